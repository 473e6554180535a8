// node-oidc-provider on the FAPI 2.0 profile, consent asked each time. Configuration: one JSON document on stdin
// {client_id, redirect_uri, client_jwks, signing_jwk, redis_socket|null}; prints its issuer when it serves.

import { createHmac, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { json, text } from "node:stream/consumers";

import Redis from "ioredis";
import { Provider } from "oidc-provider";

import { redisAdapter } from "./redis_adapter.js";

const setup = await json(process.stdin);
const pairwiseSecret = randomBytes(32);

const server = createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const redis = setup.redis_socket ? new Redis({ path: setup.redis_socket }) : null;

const provider = new Provider(issuer, {
  adapter: redis ? redisAdapter(redis) : undefined,
  jwks: { keys: [setup.signing_jwk] },
  clients: [{
    client_id: setup.client_id,
    client_name: "Bench bank",
    redirect_uris: [setup.redirect_uri],
    jwks: setup.client_jwks,
    grant_types: ["authorization_code"],
    response_types: ["code"],
    token_endpoint_auth_method: "private_key_jwt",
    token_endpoint_auth_signing_alg: "ES256",
    id_token_signed_response_alg: "ES256",
    dpop_bound_access_tokens: true,
    require_pushed_authorization_requests: true,
    subject_type: "pairwise",
  }],
  clientAuthMethods: ["private_key_jwt"],
  responseTypes: ["code"],
  subjectTypes: ["pairwise"],
  pairwiseIdentifier: (ctx, accountId, client) =>
    createHmac("sha256", pairwiseSecret).update(`${client.clientId} ${accountId}`).digest("base64url"),
  scopes: ["openid", "profile"],
  claims: { openid: ["sub"], profile: ["name", "birthdate"] },
  findAccount: (ctx, accountId) => ({
    accountId,
    claims: () => ({ sub: accountId, name: "Bench Citizen", birthdate: "1990-01-01" }),
  }),
  features: {
    devInteractions: { enabled: false },
    dPoP: { enabled: true },
    fapi: { enabled: true, profile: "2.0" },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
    resourceIndicators: { enabled: false },
    userinfo: { enabled: true },
  },
  ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 3600, IdToken: 600, Interaction: 1200, Session: 28800 },
});

const escaped = (value) => value.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

function page(body) {
  return `<!doctype html><html lang="en"><head><title>Bench</title></head><body>${body}</body></html>`;
}

function loginPage(uid) {
  return page(`<form method="post" action="/interaction/${uid}"><input name="account"><button>Sign in</button></form>`);
}

async function consentPage({ uid, params }) {
  const client = await provider.Client.find(params.client_id);
  const scopes = params.scope.split(" ").map((scope) => `<li>${escaped(scope)}</li>`).join("");
  return page(`<h1>${escaped(client.clientName)}</h1><ul>${scopes}</ul>`
    + `<form method="post" action="/interaction/${uid}">`
    + '<button name="decision" value="approve">Agree</button><button name="decision" value="deny">Refuse</button></form>');
}

async function show(request, response) {
  const interaction = await provider.interactionDetails(request, response);
  const html = interaction.prompt.name === "login" ? loginPage(interaction.uid) : await consentPage(interaction);
  response.writeHead(200, {
    "content-type": "text/html; charset=utf-8",
    "content-length": Buffer.byteLength(html),
    "cache-control": "no-store",
  });
  response.end(html);
}

async function grantFor({ params, session }) {
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  return grant.save();
}

async function decide(request, response) {
  const form = new URLSearchParams(await text(request));
  const interaction = await provider.interactionDetails(request, response);
  if (interaction.prompt.name === "login") {
    await provider.interactionFinished(request, response, { login: { accountId: form.get("account") } });
  } else if (form.get("decision") === "approve") {
    const grantId = await grantFor(interaction);
    await provider.interactionFinished(request, response, { consent: { grantId } }, { mergeWithLastSubmission: true });
  } else {
    await provider.interactionFinished(request, response, { error: "access_denied" });
  }
}

const protocol = provider.callback();
server.on("request", (request, response) => {
  if (!request.url.startsWith("/interaction/")) {
    protocol(request, response);
    return;
  }
  const answered = request.method === "POST" ? decide(request, response) : show(request, response);
  answered.catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    response.writeHead(500).end();
  });
});
provider.on("server_error", (ctx, error) => process.stderr.write(`${error.stack}\n`));

process.on("SIGTERM", () => process.exit(0));
process.stdout.write(`${issuer}\n`);
