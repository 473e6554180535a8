// The page of a download (templates/fetching.html): makes two keys that never leave this page, gets the tokens for them,
// fetches each dataset once from the proxy, decrypts and verifies it here, shows it and saves it. No server sees any of it.
//
//   form#fetching data-tokens              csrf; where the tokens are asked for
//                 data-recipient           what agencies call whoever downloads
//   li[data-dataset] in #datasets          gets the state, the preview and the buttons of one dataset
//   [data-start-problem] role=alert        why nothing can be fetched
//   [data-summary] role=status             how many are ready
//   <template id="fetching-texts">         a <p data-name> for each text, in the language of the page
//   <template id="dataset-parts">          what each dataset's card gets

import { base64url, decrypt, NotIntact, savedAs, signedAt, unzip, verify, written } from './package.js'

const form = document.getElementById('fetching')
const texts = document.getElementById('fetching-texts').content
const parts = document.getElementById('dataset-parts').content
const summary = document.querySelector('[data-summary]')
const language = document.documentElement.lang.startsWith('en') ? 'en' : 'zh'
const PREPARING = [202, 502, 503, 504] // not delivered: the same token again, later
const TRIES_WITHOUT_ANSWER = 60 // of five seconds: a nap, a tunnel
const utf8 = new TextEncoder()

const text = (name, places = {}) =>
  Object.entries(places).reduce(
    (sentence, [place, value]) => sentence.replace(`{${place}}`, value),
    texts.querySelector(`[data-name="${name}"]`).textContent,
  )
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))
const element = (tag, content = '') => Object.assign(document.createElement(tag), { textContent: content })

class Failed extends Error {}

// Keys that no script can read, not even this one, and that are gone with the page.
const proofKey = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const recipientKey = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, false, ['deriveBits'])

async function publicJwk(key) {
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', key.publicKey)
  return { kty, crv, x, y }
}
const [proofJwk, recipientJwk] = await Promise.all([publicJwk(proofKey), publicJwk(recipientKey)])

// RFC 9449 section 4.2
async function proof(method, url, { token, nonce } = {}) {
  const claims = { jti: crypto.randomUUID(), htm: method, htu: url, iat: Math.floor(Date.now() / 1000) }
  if (nonce) claims.nonce = nonce
  if (token) claims.ath = base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', utf8.encode(token))))
  const encoded = [{ typ: 'dpop+jwt', alg: 'ES256', jwk: proofJwk }, claims].map((part) => base64url(utf8.encode(JSON.stringify(part))))
  const signed = encoded.join('.')
  const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, proofKey.privateKey, utf8.encode(signed))
  return `${signed}.${base64url(new Uint8Array(signature))}`
}

// With a proof, and once more if the server wants its nonce in it (RFC 9449 section 8).
async function send(method, url, { body, token } = {}) {
  let nonce
  for (;;) {
    const headers = { DPoP: await proof(method, url, { token, nonce }) }
    if (token) headers.Authorization = `DPoP ${token}`
    const answer = await fetch(url, { method, headers, body, credentials: body ? 'same-origin' : 'omit', cache: 'no-store' })
    const wanted = answer.headers.get('DPoP-Nonce')
    if (nonce || !wanted || ![400, 401].includes(answer.status)) return answer
    nonce = wanted
  }
}

async function getTokens() {
  const url = form.dataset.tokens
  const body = new URLSearchParams(new FormData(form))
  body.set('recipient_jwk', JSON.stringify(recipientJwk))
  const ask = () =>
    send('POST', url, { body }).catch(() => {
      throw new Failed('no-answer')
    })
  let answer = await ask()
  while (answer.status === 503) {
    await pause(Number(answer.headers.get('Retry-After')) || 5)
    answer = await ask()
  }
  const isOurs = answer.headers.get('content-type')?.startsWith('application/json') && !answer.redirected
  if (!isOurs) throw new Failed('session')
  const said = await answer.json()
  if (!answer.ok) throw new Failed(said.error === 'used' ? 'used' : 'over')
  return said.authorization_details
}

async function read(answer, progress) {
  const length = Number(answer.headers.get('Content-Length')) || 0
  if (length) Object.assign(progress, { max: length, value: 0 })
  const chunks = []
  let size = 0
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read()
    if (done) break
    chunks.push(value)
    size += value.length
    if (length) progress.value = size
  }
  const whole = new Uint8Array(size)
  let place = 0
  for (const chunk of chunks) {
    whole.set(chunk, place)
    place += chunk.length
  }
  return whole
}

class Card {
  constructor(item) {
    this.item = item
    item.append(parts.cloneNode(true))
    this.progress = item.querySelector('progress')
    this.status = item.querySelector('[data-status]')
    const name = item.querySelector('h2').textContent
    this.progress.setAttribute('aria-label', name)
    for (const part of item.querySelectorAll('[role=region], [role=group]')) part.setAttribute('aria-label', name)
  }

  say(name, places) {
    this.item.dataset.state = name
    this.status.textContent = text(name, places)
  }

  end(name, places) {
    this.progress.hidden = true
    this.say(name, places)
  }
}

// As roughly as all pages tell it: authz_server/consent/wording.py.
function duration(seconds) {
  const [unit, of] = seconds < 90 * 60 ? ['minute', 60] : ['hour', 3600]
  const style = { style: 'unit', unit, unitDisplay: 'long' }
  return new Intl.NumberFormat(language === 'en' ? 'en' : 'zh-TW', style).format(Math.max(1, Math.round(seconds / of)))
}

async function fetchOne(granted, offer, card) {
  const began = Date.now()
  let unanswered = 0
  for (;;) {
    const answer = await send('GET', granted.locations[0], { token: granted.access_token }).catch(() => null)
    if (answer?.status === 200) {
      card.say('arriving')
      return read(answer, card.progress).catch(() => {
        throw new Failed('broken-off')
      })
    }
    if (answer?.status === 404) {
      throw new Failed((await answer.json()).type === 'urn:mydata:problem:no-record' ? 'no-record' : 'over')
    }
    if (answer) unanswered = 0
    if (!answer && (unanswered += 1) > TRIES_WITHOUT_ANSWER) throw new Failed('no-answer')
    if (answer && !PREPARING.includes(answer.status)) throw new Failed('over')
    const wait = Number(answer?.headers.get('Retry-After')) || 5
    const left = Math.max(wait, offer.typical_wait_s - (Date.now() - began) / 1000)
    card.progress.removeAttribute('value')
    card.say(answer?.status === 202 ? 'preparing' : 'waiting', { wait: duration(left) })
    await pause(wait)
  }
}

const display = (value) => (value === null || value === undefined ? '–' : typeof value === 'boolean' ? text(value ? 'yes' : 'no') : String(value))

let counties = [] // of the catalogue

// What fields hold is a text, a number, an object, or a list of these. `names`: of the members of objects; `of`: the id of
// the field or member whose value it is.
function shown(value, names, of) {
  if (Array.isArray(value)) {
    if (!value.length) return document.createTextNode(text('none'))
    const list = element('ul')
    for (const one of value) {
      const item = element('li')
      item.append(shown(one, names))
      list.append(item)
    }
    return list
  }
  if (value && typeof value === 'object') {
    const pairs = element('dl')
    for (const [name, one] of Object.entries(value)) {
      const [term, detail] = [element('dt', names[name][language]), element('dd')]
      detail.append(shown(one, names, name))
      pairs.append(term, detail)
    }
    return pairs
  }
  const amount = typeof value === 'number' && value.toLocaleString(language, { maximumFractionDigits: 20 })
  return document.createTextNode(amount || written(of, display(value), counties))
}

// Name and value of every field, in the order of the catalogue; lists and objects within by their path.
function rows(data, { fields, members }) {
  const flat = (name, value) => {
    if (!value || typeof value !== 'object') return [[name, display(value)]]
    const part = (key) => (Array.isArray(value) ? Number(key) + 1 : members[key][language])
    return Object.entries(value).flatMap(([key, one]) => flat(`${name} ${part(key)}`, one))
  }
  return fields.filter((field) => field.id in data).flatMap((field) => flat(field.name[language], data[field.id]))
}

function csv(data, offer) {
  // What a spreadsheet takes for a formula (CWE-1236), in the forms of both widths.
  const harmless = (cell) => (/^[=+\-@\t\r\n＝＋－＠]/.test(cell) ? `'${cell}` : cell)
  const cell = (value) => `"${harmless(value).replaceAll('"', '""')}"`
  const lines = [[text('field'), text('value')], ...rows(data, offer)]
  return `\ufeff${lines.map((line) => line.map(cell).join(',')).join('\r\n')}\r\n`
}

const TYPES = { json: 'application/json', pdf: 'application/pdf', png: 'image/png', jpg: 'image/jpeg' }
const endingOf = (name) => name.split('.').pop().toLowerCase()
const typeOf = (name) => TYPES[endingOf(name)] ?? 'application/octet-stream'

function preview(card, files, data, { fields, members }) {
  const table = card.item.querySelector('tbody')
  for (const field of fields.filter((one) => one.id in data)) {
    const row = element('tr')
    const value = element('td')
    value.append(shown(data[field.id], members, field.id))
    row.append(Object.assign(element('th', field.name[language]), { scope: 'row' }), value)
    table.append(row)
  }
  const documents = card.item.querySelector('[data-documents]')
  for (const [name, content] of files) {
    const type = typeOf(name)
    const address = () => URL.createObjectURL(new Blob([content], { type }))
    if (type.startsWith('image/')) documents.append(Object.assign(element('img'), { src: address(), alt: text('image', { name }) }))
    if (type !== 'application/pdf') continue
    const details = Object.assign(element('details'), { className: 'govuk-details' })
    const summaryLine = Object.assign(element('summary'), { className: 'govuk-details__summary' })
    summaryLine.append(Object.assign(element('span', text('show-pdf')), { className: 'govuk-details__summary-text' }))
    const frame = Object.assign(element('iframe'), { title: text('pdf', { name }) })
    details.addEventListener('toggle', () => (frame.src ||= address()), { once: true })
    details.append(summaryLine, frame)
    documents.append(details)
  }
}

let unsaved = 0

function saving(card, name, whole, files, data, offer) {
  const buttons = card.item.querySelector('[data-save]')
  const offers = [[text('save-package'), `${name}.zip`, new Blob([whole], { type: 'application/zip' })]]
  const others = [...files.keys()].filter((file) => file !== 'data.json')
  for (const [file, saved] of savedAs(name, others)) {
    const label = saved.endsWith(`-${file}`) ? file : endingOf(file).toUpperCase()
    offers.push([label, saved, new Blob([files.get(file)], { type: typeOf(file) })])
  }
  offers.push(['JSON', `${name}.json`, new Blob([files.get('data.json')], { type: TYPES.json })])
  offers.push(['CSV', `${name}.csv`, new Blob([csv(data, offer)], { type: 'text/csv' })])
  let counted = true
  unsaved += 1
  for (const [label, saved, blob] of offers) {
    const button = Object.assign(element('button', label), { type: 'button', className: 'govuk-button second' })
    button.dataset.kind = endingOf(saved)
    button.addEventListener('click', () => {
      const link = Object.assign(element('a'), { href: URL.createObjectURL(blob), download: saved })
      link.click()
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
      if (counted) unsaved -= 1
      counted = false
    })
    buttons.append(button)
  }
}

async function take(granted, agencies, card) {
  const agency = agencies.find((one) => one.datasets.some((dataset) => dataset.id === granted.dataset))
  const offer = agency.datasets.find((dataset) => dataset.id === granted.dataset)
  const jwe = await fetchOne(granted, offer, card)
  card.say('opening')
  const whole = await decrypt(jwe, recipientKey.privateKey)
  const files = await unzip(whole)
  const { transaction, dataset, fields, parameters } = granted
  const made = { iss: agency.id, aud: form.dataset.recipient, txn: transaction, dataset, fields, parameters }
  const { manifest } = await verify(files, [agency], made)
  const data = JSON.parse(new TextDecoder().decode(files.get('data.json')))
  files.delete('manifest.jws')
  preview(card, files, data, offer)
  saving(card, `${dataset}-${transaction}`, whole, files, data, offer)
  card.item.querySelector('[data-result]').hidden = false
  card.end('done', { agency: agency.name[language], when: signedAt(manifest) })
}

function problem(name) {
  const place = document.querySelector('[data-start-problem]')
  place.textContent = text(name)
  place.hidden = false
  document.querySelector('[data-again]').hidden = false
}

let busy = true

async function main() {
  // First, for what follows can be done only once; and as it is now, for an agency may have a new key since.
  const catalogue = await (await fetch('/catalogue', { cache: 'no-cache' })).json()
  counties = catalogue.counties
  const details = await getTokens()
  let finished = 0
  const count = () => {
    summary.textContent = text('summary', { count: finished, all: details.length })
    document.title = `(${finished}/${details.length}) ${document.title.replace(/^\(\d+\/\d+\) /, '')}`
  }
  count()
  await Promise.all(
    details.map(async (granted) => {
      const card = new Card(document.querySelector(`[data-dataset="${CSS.escape(granted.dataset)}"]`))
      card.say('asked')
      try {
        await take(granted, catalogue.agencies, card)
      } catch (error) {
        const names = error instanceof NotIntact ? ['not-intact'] : error instanceof Failed ? [error.message] : ['not-shown']
        card.end(...names)
      }
      finished += 1
      count()
    }),
  )
  if (details.length) summary.textContent = text('all-done')
}

window.addEventListener('beforeunload', (event) => {
  if (busy || unsaved) event.preventDefault()
})
try {
  await main()
} catch (error) {
  problem(error instanceof Failed ? error.message : 'no-answer')
}
busy = false
