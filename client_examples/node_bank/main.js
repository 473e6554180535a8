// A bank's web site: `node main.js --issuer https://... --bind 127.0.0.1:8004 --folder node-bank [--init]`
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK } from 'jose'
import { missingPage, refusedPage, resultPage, startPage } from './pages.js'
import { connect, fetchDataset, finish, isLater, start } from './platform.js'

const CLIENT_ID = 'second-bank-of-samples'
const PURPOSES = { 'credit-card': ['信用卡', 'Credit card'], 'personal-loan': ['個人信用貸款', 'Personal loan'] }
const { values: options } = parseArgs({
  options: {
    issuer: { type: 'string', default: 'http://localhost:8000' },
    bind: { type: 'string', default: '127.0.0.1:8004' },
    folder: { type: 'string', default: 'node-bank' },
    init: { type: 'boolean', default: false },
  },
})
const origin = `http://${options.bind}`
const here = (name) => new URL(name, import.meta.url)

// Our keys, made at the first start: the private part for us alone, the public part for the registration.
async function loadOrCreateKeys(folder) {
  const path = join(folder, 'keys.json')
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const made = await Promise.all([['ES256', 'sig'], ['ECDH-ES', 'enc']].map(async ([alg, use]) => {
      const { privateKey } = await generateKeyPair(alg, { extractable: true })
      const jwk = await exportJWK(privateKey)
      return { ...jwk, alg, use, kid: await calculateJwkThumbprint(jwk) }
    }))
    writeFileSync(path, JSON.stringify(made), { mode: 0o600, flag: 'wx' })
    const jwks = { keys: made.map(({ d, ...publicPart }) => publicPart) }
    writeFileSync(join(folder, 'jwks.json'), JSON.stringify(jwks))
  }
  const [signing, decryption] = JSON.parse(readFileSync(path, 'utf8'))
  return {
    signingKey: { key: await importJWK(signing), kid: signing.kid },
    decryptionKey: await importJWK(decryption),
  }
}

const journeys = new Map() // by the browser's cookie

async function answer(request, response, platform, requests) {
  const url = new URL(request.url, origin)
  const cookies = Object.fromEntries((request.headers.cookie ?? '').split('; ').map((pair) => pair.split('=')))
  const browser = cookies['node-bank'] ?? randomUUID()
  const preferred = request.headers['accept-language']?.slice(0, 2)
  const zh = (url.searchParams.get('lang') ?? cookies['node-bank-lang'] ?? preferred) !== 'en'
  response.setHeader('Set-Cookie', [
    `node-bank=${browser}; Path=/; HttpOnly; SameSite=Lax`,
    `node-bank-lang=${zh ? 'zh-TW' : 'en'}; Path=/; HttpOnly; SameSite=Lax`,
  ])
  response.setHeader('Cache-Control', 'no-store')
  const send = (status, html) => response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8' }).end(html)
  const redirect = (target) => response.writeHead(303, { Location: target }).end()
  const journey = journeys.get(browser)
  try {
    const purpose = url.pathname.match(/^\/apply\/([a-z-]+)$/)?.[1]
    if (request.method === 'GET' && url.pathname === '/') {
      send(200, startPage(zh, PURPOSES))
    } else if (request.method === 'POST' && Object.hasOwn(requests, purpose ?? '')) {
      const begun = await start(await platform(), requests[purpose], zh ? 'zh-TW' : 'en')
      if (journeys.size >= 1000) journeys.delete(journeys.keys().next().value)
      journeys.set(browser, begun.journey)
      redirect(begun.address.href)
    } else if (journey && url.pathname === '/callback') {
      await finish(await platform(), journey, url)
      redirect('/result')
    } else if (journey?.fetches && url.pathname === '/result') {
      // Two tabs must not both spend a token: the second waits for the first.
      journey.work = Promise.resolve(journey.work).then(() => fetchAll(platform, journey))
      await journey.work
      const waits = journey.fetches.filter(({ status }) => isLater(status)).map(({ waitSeconds }) => waitSeconds)
      send(200, resultPage(zh, journey.fetches, Math.max(0, ...waits)))
    } else {
      send(404, missingPage(zh))
    }
  } catch (error) {
    console.error(`${url.pathname}: ${error.code ?? error.name}`)
    send(400, refusedPage(zh, error.error ?? error.code ?? error.name))
  }
}

async function fetchAll(platform, journey) {
  for (const fetch of journey.fetches.filter(({ status }) => isLater(status))) {
    try {
      await fetchDataset(await platform(), journey, fetch)
    } catch (error) {
      Object.assign(fetch, { status: 'failed', note: `${error.code ?? error.message}, ${fetch.note}` })
    }
  }
}

const keys = await loadOrCreateKeys(options.folder)
const registration = readFileSync(here('client.toml'), 'utf8').replace('http://127.0.0.1:8004', origin)
writeFileSync(join(options.folder, 'client.toml'), registration)
console.log(`to register: mydata client add ${options.folder}/client.toml`)
if (!options.init) {
  const requests = JSON.parse(readFileSync(here('requests.json'), 'utf8'))
  const settings = { issuer: options.issuer, clientId: CLIENT_ID, redirectUri: `${origin}/callback` }
  let connected // at the first request, so that the bank can start before the platform
  const platform = async () => (connected ??= await connect({ ...settings, ...keys }))
  const [host, port] = options.bind.split(/:(?=\d+$)/)
  createServer((request, response) => answer(request, response, platform, requests)).listen(Number(port), host)
  console.log(`listening on ${origin}`)
}
