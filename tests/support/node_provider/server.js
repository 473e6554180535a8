// node-oidc-provider as somebody else's OpenID Provider, which signs everybody in as the same person without a question.
// Configuration: one JSON document on stdin {client_id, client_secret, redirect_uri, subject, acr}; prints its issuer when
// it serves. A subject of null: nobody is let in.

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { json } from "node:stream/consumers";

import { Provider } from "oidc-provider";

const setup = await json(process.stdin);
const server = createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

const provider = new Provider(issuer, {
  acrValues: [setup.acr],
  clients: [{
    client_id: setup.client_id,
    client_secret: setup.client_secret,
    redirect_uris: [setup.redirect_uri],
    id_token_signed_response_alg: "ES256",
  }],
  cookies: { keys: [randomBytes(32).toString("hex")] },
  features: { devInteractions: { enabled: false } },
  findAccount: (ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), alg: "ES256", use: "sig", kid: "1" }] },
});

async function answer(request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (setup.subject === null) {
    return provider.interactionFinished(request, response, { error: "access_denied" });
  }
  if (prompt.name === "login") {
    const login = { accountId: setup.subject, acr: setup.acr };
    return provider.interactionFinished(request, response, { login });
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

const protocol = provider.callback();
server.on("request", (request, response) => {
  if (!request.url.startsWith("/interaction/")) {
    protocol(request, response);
    return;
  }
  answer(request, response).catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    response.writeHead(500).end();
  });
});
process.stdout.write(`${issuer}\n`);
