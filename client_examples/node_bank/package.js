// Opening what an agency sent. Nothing of a package is used before all of it has been checked.
import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import Ajv2020 from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { unzipSync } from 'fflate'
import { compactDecrypt, compactVerify, createLocalJWKSet } from 'jose'

const MAX_BYTES = 64 * 1024 * 1024
const sha256 = (content) => createHash('sha256').update(content).digest('base64url')
const json = (bytes) => JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))

// Returns { manifest, data, files }; throws if the package is not what the agency made for this grant.
export async function openPackage(jwe, platform, catalogue, grant) {
  const algorithms = { keyManagementAlgorithms: ['ECDH-ES'], contentEncryptionAlgorithms: ['A256GCM'] }
  const { plaintext } = await compactDecrypt(jwe, platform.decryptionKey, algorithms)
  let total = 0
  const files = unzipSync(plaintext, { filter: ({ originalSize }) => (total += originalSize) <= MAX_BYTES })
  const { 'manifest.jws': signed, ...signedFiles } = files

  const agency = catalogue.agencies.find(({ datasets }) => datasets.some(({ id }) => id === grant.dataset))
  const keys = createLocalJWKSet(agency.jwks)
  const verified = await compactVerify(signed, keys, { algorithms: ['ES256'] })
  const manifest = json(verified.payload)
  const { transaction, dataset, fields, parameters } = grant
  // Without `txn` it could be about somebody else.
  const expected = { iss: agency.id, aud: platform.clientId, txn: transaction, dataset, fields, parameters }
  const said = Object.fromEntries(Object.keys(expected).map((name) => [name, manifest[name]]))
  if (verified.protectedHeader.typ !== 'mydata-manifest+jwt' || !isDeepStrictEqual(said, expected)) {
    throw new Error('the package was made for another request')
  }
  const digests = Object.fromEntries(manifest.files.map(({ name, sha256 }) => [name, sha256]))
  const found = Object.fromEntries(Object.entries(signedFiles).map(([name, content]) => [name, sha256(content)]))
  if (!isDeepStrictEqual(digests, found)) throw new Error('the files are not those that the agency signed')

  const data = json(signedFiles['data.json'])
  const { schema } = agency.datasets.find(({ id }) => id === dataset)
  if (!addFormats(new Ajv2020({ strict: false })).validate(schema, data)) throw new Error('the data is not as agreed')
  if (Object.keys(data).some((name) => !fields.includes(name))) throw new Error('more than was granted')
  return { manifest, data, files: signedFiles }
}
