// The bank as an OAuth client of the platform. All of FAPI 2.0 (PAR, PKCE, private_key_jwt, DPoP, iss) is openid-client's.
import * as oauth from 'openid-client'
import { openPackage } from './package.js'

const LATER = { 202: 'preparing', 502: 'waiting', 503: 'waiting', 504: 'waiting' }

// Read the platform's metadata once. http is for a sandbox on this machine.
export async function connect({ issuer, clientId, redirectUri, signingKey, decryptionKey }) {
  const config = await oauth.discovery(
    new URL(issuer),
    clientId,
    { id_token_signed_response_alg: 'ES256' },
    oauth.PrivateKeyJwt(signingKey),
    { execute: issuer.startsWith('http://localhost:') ? [oauth.allowInsecureRequests] : [] },
  )
  return { config, issuer, clientId, redirectUri, decryptionKey }
}

// Push the request; the journey has a DPoP key of its own. Returns it with the address to send the citizen to.
export async function start(platform, details, locale) {
  const journey = { state: oauth.randomState(), nonce: oauth.randomNonce(), verifier: oauth.randomPKCECodeVerifier() }
  journey.DPoP = oauth.getDPoPHandle(platform.config, await oauth.randomDPoPKeyPair('ES256'))
  const address = await oauth.buildAuthorizationUrlWithPAR(
    platform.config,
    {
      redirect_uri: platform.redirectUri,
      scope: 'openid',
      ui_locales: locale,
      state: journey.state,
      nonce: journey.nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(journey.verifier),
      code_challenge_method: 'S256',
      authorization_details: JSON.stringify(details),
    },
    { DPoP: journey.DPoP },
  )
  return { journey, address }
}

// Take the citizen's answer and get the tokens: one per dataset, in authorization_details (RFC 9396 section 7).
export async function finish(platform, journey, callback) {
  const checks = { expectedState: journey.state, expectedNonce: journey.nonce, pkceCodeVerifier: journey.verifier }
  const tokens = await oauth.authorizationCodeGrant(
    platform.config, callback, { ...checks, idTokenExpected: true }, undefined, { DPoP: journey.DPoP },
  )
  journey.fetches = tokens.authorization_details.map((grant) => ({ grant, status: 'waiting' }))
}

// Ask for one dataset. Its token is good for one delivery, and for more tries until then.
export async function fetchDataset(platform, journey, fetch) {
  const { grant } = fetch
  const options = { DPoP: journey.DPoP }
  const url = new URL(grant.locations[0])
  const catalogue = await (await globalThis.fetch(`${platform.issuer}/catalogue`)).json()
  fetch.dataset = catalogue.agencies.flatMap(({ datasets }) => datasets).find(({ id }) => id === grant.dataset)
  const answer = await protectedResource(platform.config, grant.access_token, url, options)
  fetch.waitSeconds = Number(answer.headers.get('retry-after') ?? 5)
  fetch.note = `trace ${answer.headers.get('x-fapi-interaction-id')}`
  fetch.status = LATER[answer.status] ?? 'failed'
  if (answer.status === 200) {
    fetch.content = await openPackage(await answer.text(), platform, catalogue, grant)
    fetch.status = 'done'
  } else if (answer.status === 404 && (await answer.json()).type === 'urn:mydata:problem:no-record') {
    fetch.status = 'no-record'
  }
}

// openid-client throws on a challenge; here a refusal is an answer like others.
async function protectedResource(config, token, url, options) {
  try {
    return await oauth.fetchProtectedResource(config, token, url, 'GET', undefined, undefined, options)
  } catch (error) {
    if (error instanceof oauth.WWWAuthenticateChallengeError) return error.response
    throw error
  }
}

export const isLater = (status) => Object.values(LATER).includes(status)
