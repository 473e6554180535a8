// Opens and verifies the packages of agencies, with what browsers bring along (Web Cryptography API), here and in the
// page that verifies saved ones. Nothing of a package leaves this file's caller, and nothing is used before it is verified.
//
//   decrypt(jwe, key)               RFC 7516, compact; ECDH-ES, directly or wrapping (RFC 7518 section 4.6), A256GCM
//   unzip(octets)                   the files of a ZIP, as a Map; stored or deflated
//   verify(files, agencies, made)   the manifest, if an agency of the catalogue signed it, and exactly these files
//   savedAs(name, files)            what each file is called when it is saved, no two alike
//   signedAt(manifest)              when that was, as all pages write a moment: in Taiwan's time
//   written(name, value, counties)  a parameter, or a field of that name: years, periods and counties (of the platform's
//                                   catalogue) as all pages write them
//
// Each throws NotIntact, with the reason's name.

export class NotIntact extends Error {}

const MANIFEST = 'manifest.jws'
const TYPE = 'mydata-manifest+jwt'
const LARGEST = 64 * 1024 * 1024
const ALGORITHMS = {
  ES256: [{ name: 'ECDSA', namedCurve: 'P-256' }, { name: 'ECDSA', hash: 'SHA-256' }],
  EdDSA: [{ name: 'Ed25519' }, { name: 'Ed25519' }],
  Ed25519: [{ name: 'Ed25519' }, { name: 'Ed25519' }],
  PS256: [{ name: 'RSA-PSS', hash: 'SHA-256' }, { name: 'RSA-PSS', saltLength: 32 }],
}

const utf8 = new TextEncoder()
const text = new TextDecoder('utf-8', { fatal: true })
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const VALUES = new Uint8Array(128).fill(255)
for (let value = 0; value < 64; value += 1) VALUES[ALPHABET.charCodeAt(value)] = value

const check = (holds, reason) => {
  if (!holds) throw new NotIntact(reason)
}

export function base64url(octets) {
  let out = ''
  for (let at = 0; at < octets.length; at += 3) {
    const [a, b = 0, c = 0] = octets.subarray(at, at + 3)
    const group = [a >> 2, ((a & 3) << 4) | (b >> 4), ((b & 15) << 2) | (c >> 6), c & 63]
    out += group.slice(0, octets.length - at + 1).map((value) => ALPHABET[value]).join('')
  }
  return out
}

// From octets in base64url to octets; `into` has room for them at `place`.
function decodeInto(encoded, into, place) {
  let bits = 0
  let count = 0
  for (let at = 0; at < encoded.length; at += 1) {
    const value = VALUES[encoded[at]]
    if (!(value < 64)) throw new NotIntact('form')
    bits = (bits << 6) | value
    count += 6
    if (count >= 8) {
      count -= 8
      into[place++] = (bits >> count) & 255
    }
  }
}

function decoded(encoded) {
  const octets = new Uint8Array(Math.floor((encoded.length * 3) / 4))
  decodeInto(encoded, octets, 0)
  return octets
}

function json(octets) {
  try {
    return JSON.parse(text.decode(octets))
  } catch {
    throw new NotIntact('form')
  }
}

// The parts of a compact serialization, each still in base64url.
function parts(octets, count) {
  const found = []
  let start = 0
  for (let number = 1; number < count; number += 1) {
    const dot = octets.indexOf(46, start)
    check(dot >= 0, 'form')
    found.push(octets.subarray(start, dot))
    start = dot + 1
  }
  return [...found, octets.subarray(start)]
}

const counted = (octets) => [...new Uint8Array(new Uint32Array([octets.length]).buffer).reverse(), ...octets]

// RFC 7518 section 4.6.2, one round of it: 256 bits.
async function agreed(header, key, algorithm) {
  const epk = await crypto.subtle.importKey('jwk', header.epk, { name: 'ECDH', namedCurve: 'P-256' }, false, [])
  const secret = await crypto.subtle.deriveBits({ name: 'ECDH', public: epk }, key, 256)
  const party = (value) => counted(decoded(utf8.encode(value ?? '')))
  const info = [...counted(utf8.encode(algorithm)), ...party(header.apu), ...party(header.apv), 0, 0, 1, 0]
  return crypto.subtle.digest('SHA-256', new Uint8Array([0, 0, 0, 1, ...new Uint8Array(secret), ...info]))
}

async function contentKey(header, encryptedKey, key) {
  if (header.alg === 'ECDH-ES') {
    const octets = await agreed(header, key, header.enc)
    return crypto.subtle.importKey('raw', octets, 'AES-GCM', false, ['decrypt'])
  }
  check(header.alg === 'ECDH-ES+A256KW', 'key')
  const octets = await agreed(header, key, header.alg)
  const wrapping = await crypto.subtle.importKey('raw', octets, 'AES-KW', false, ['unwrapKey'])
  return crypto.subtle.unwrapKey('raw', decoded(encryptedKey), wrapping, 'AES-KW', 'AES-GCM', false, ['decrypt'])
}

export async function decrypt(jwe, key) {
  const [head, encryptedKey, iv, ciphertext, tag] = parts(jwe, 5)
  const header = json(decoded(head))
  check(header.enc === 'A256GCM' && header.zip === undefined && header.crit === undefined, 'key')
  const length = Math.floor((ciphertext.length * 3) / 4)
  const sealed = new Uint8Array(length + 16)
  decodeInto(ciphertext, sealed, 0)
  check(tag.length === 22, 'form')
  decodeInto(tag, sealed, length)
  try {
    const cek = await contentKey(header, encryptedKey, key)
    const algorithm = { name: 'AES-GCM', iv: decoded(iv), additionalData: head, tagLength: 128 }
    return new Uint8Array(await crypto.subtle.decrypt(algorithm, cek, sealed))
  } catch (error) {
    throw error instanceof NotIntact ? error : new NotIntact('key')
  }
}

async function inflated(octets, size) {
  const stream = new Blob([octets]).stream().pipeThrough(new DecompressionStream('deflate-raw'))
  const out = new Uint8Array(size)
  let place = 0
  for (const reader = stream.getReader(); ; ) {
    const { done, value } = await reader.read()
    if (done) break
    check(place + value.length <= size, 'form')
    out.set(value, place)
    place += value.length
  }
  check(place === size, 'form')
  return out
}

// The central directory says what there is (.ZIP File Format Specification 6.3.10, section 4.3); no ZIP64, no encryption.
export async function unzip(octets) {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  const files = new Map()
  let total = 0
  try {
    let end = octets.length - 22
    while (view.getUint32(end, true) !== 0x06054b50) end -= 1
    let at = view.getUint32(end + 16, true)
    for (let left = view.getUint16(end + 10, true); left > 0; left -= 1) {
      check(view.getUint32(at, true) === 0x02014b50, 'form')
      const [method, packed, size] = [view.getUint16(at + 10, true), view.getUint32(at + 20, true), view.getUint32(at + 24, true)]
      const [named, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true))
      const local = view.getUint32(at + 42, true)
      const name = text.decode(octets.subarray(at + 46, at + 46 + named))
      const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true)
      const content = octets.subarray(start, start + packed)
      total += size
      check(total <= LARGEST && !files.has(name) && (method === 0 || method === 8), 'form')
      files.set(name, method === 0 ? content : await inflated(content, size))
      at += 46 + named + extra + comment
    }
  } catch {
    throw new NotIntact('form')
  }
  return files
}

async function verified(jws, keys) {
  const [head, payload, signature] = parts(jws, 3)
  const header = json(decoded(head))
  const algorithm = Object.hasOwn(ALGORITHMS, header.alg) ? ALGORITHMS[header.alg] : null
  check(algorithm && header.typ === TYPE && header.crit === undefined, 'form')
  const jwk = keys.find((one) => one.kid === header.kid)
  check(jwk, 'signer')
  const { kty, crv, x, y, n, e } = jwk
  const key = await crypto.subtle.importKey('jwk', { kty, crv, x, y, n, e }, algorithm[0], false, ['verify'])
  const signed = jws.subarray(0, head.length + 1 + payload.length)
  check(await crypto.subtle.verify(algorithm[1], key, decoded(signature), signed), 'signature')
  return json(decoded(payload))
}

const same = (one, other) => JSON.stringify(sorted(one)) === JSON.stringify(sorted(other))
const sorted = (value) =>
  value && typeof value === 'object' && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).sort()) : value

// `agencies`: of the platform's catalogue; `made`: what the manifest has to say besides, of a package that was asked for.
export async function verify(files, agencies, made = {}) {
  const jws = files.get(MANIFEST)
  check(jws, 'form')
  const claimed = json(decoded(parts(jws, 3)[1]))
  check(claimed && typeof claimed === 'object', 'form')
  const agency = agencies.find((one) => one.id === claimed.iss)
  check(agency, 'signer')
  let manifest
  try {
    manifest = await verified(jws, agency.jwks.keys)
  } catch (error) {
    throw error instanceof NotIntact ? error : new NotIntact('signature')
  }
  for (const [name, value] of Object.entries(made)) check(same(manifest[name], value), 'other')
  const names = [...files.keys()].filter((name) => name !== MANIFEST)
  check(Array.isArray(manifest.files) && same(manifest.files.map((file) => file.name).sort(), names.sort()), 'files')
  for (const file of manifest.files) {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', files.get(file.name)))
    check(base64url(digest) === file.sha256, 'files')
  }
  return { manifest, agency }
}

// By the ending alone where that tells it from all others: from those of its package, and from what a page makes of it.
export function savedAs(name, files, made = ['zip', 'json', 'csv']) {
  const ending = (file) => file.split('.').pop().toLowerCase()
  const endings = [...made, ...files.map(ending)]
  const alone = (file) => endings.filter((one) => one === ending(file)).length === 1
  return new Map(files.map((file) => [file, `${name}${alone(file) ? '.' + ending(file) : '-' + file.replaceAll('/', '-')}`]))
}

const inEnglish = () => document.documentElement.lang.startsWith('en')

// Years are of the ROC calendar. The same in authz_server/catalogue/parameters.py. Without counties: of a catalogue that
// another release has told, or the browser kept of one.
export function written(name, value, counties = []) {
  const english = inEnglish()
  if (name === 'county') return (english && counties.find(({ zh }) => zh === value)?.en) || value
  if (/(^|_)year$/.test(name) && /^[1-9]\d{1,2}$/.test(value)) {
    return english ? `${Number(value) + 1911} (ROC year ${value})` : `民國 ${value} 年`
  }
  if (name !== 'period' || !/^\d{4}-\d{2}\/\d{4}-\d{2}$/.test(value)) return value
  const months = value.split('/').map((month) => {
    const [year, number] = month.split('-').map(Number)
    const named = new Intl.DateTimeFormat('en-GB', { month: 'long', timeZone: 'UTC' }).format(Date.UTC(year, number - 1))
    return english ? `${named} ${year}` : `${year} 年 ${number} 月`
  })
  return months.join(english ? ' to ' : '至 ')
}

export function signedAt(manifest) {
  const english = inEnglish()
  const style = { day: 'numeric', month: english ? 'long' : 'numeric', year: 'numeric', hour: '2-digit', minute: '2-digit' }
  const parts = new Intl.DateTimeFormat('en-GB', { ...style, timeZone: 'Asia/Taipei', hourCycle: 'h23' }).formatToParts(
    new Date(manifest.iat * 1000),
  )
  const { day, month, year, hour, minute } = Object.fromEntries(parts.map((part) => [part.type, part.value]))
  return english ? `${day} ${month} ${year} at ${hour}:${minute}` : `${year} 年 ${month} 月 ${day} 日 ${hour}:${minute}`
}
