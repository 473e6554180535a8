// Makes or uses a passkey (WebAuthn Level 3): the only script of this server, and only on the pages of passkeys.
//
//   in a form:
//     <input type="hidden" name="credential" data-passkey="create" or "get" data-options="/where/its/options/are">
//                                                       gets the browser's answer, with which the form is sent
//     <p data-passkey-without>                          shown until we are here: passkeys need JavaScript
//     <button data-passkey-start hidden>                shown once we are
//     <p data-passkey-status role="status">             that the device is waited for
//     <p data-passkey-problem role="alert">             why it failed
//   <template id="passkey-texts">                       a <p data-name> for each error, in the language of the page

const credential = document.querySelector('input[data-passkey]')
const { form, dataset } = credential
const creating = dataset.passkey === 'create'
const [without, button, status, problem] = ['without', 'start', 'status', 'problem'].map((name) =>
  form.querySelector(`[data-passkey-${name}]`),
)
const texts = document.getElementById('passkey-texts').content
const text = (name) => (texts.querySelector(`[data-name="${name}"]`) ?? texts.querySelector('[data-name="other"]')).textContent

const octets = (base64url) =>
  Uint8Array.from(atob(base64url.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0))
const base64url = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')

// What browsers before Level 3 do not do themselves: sections 5.1.8 (create), 5.1.9 (get) and 5.1 (toJSON).
const named = (list) => (list ?? []).map((item) => ({ ...item, id: octets(item.id) }))

function parsed(options) {
  const own = creating ? 'parseCreationOptionsFromJSON' : 'parseRequestOptionsFromJSON'
  if (PublicKeyCredential[own]) return PublicKeyCredential[own](options)
  const publicKey = { ...options, challenge: octets(options.challenge) }
  if (!creating) return { ...publicKey, allowCredentials: named(options.allowCredentials) }
  const user = { ...options.user, id: octets(options.user.id) }
  return { ...publicKey, user, excludeCredentials: named(options.excludeCredentials) }
}

function asJson(made) {
  if (made.toJSON) return made.toJSON()
  const names = ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']
  const given = names.filter((name) => made.response[name])
  const response = Object.fromEntries(given.map((name) => [name, base64url(made.response[name])]))
  if (made.response.getTransports) response.transports = made.response.getTransports()
  return { id: made.id, rawId: base64url(made.rawId), type: made.type, response }
}

async function question() {
  const body = new URLSearchParams(new FormData(form))
  const answer = await fetch(dataset.options, { method: 'POST', body }).catch(() => {
    throw new DOMException('', 'NetworkError')
  })
  const isOurs = answer.ok && answer.headers.get('content-type')?.startsWith('application/json')
  return isOurs ? answer.json() : null
}

async function ceremony() {
  const options = await question()
  if (!options) return // what else the server has to say (a form too old, a session over) it says on a page
  const begun = performance.now()
  try {
    const made = await navigator.credentials[dataset.passkey]({ publicKey: parsed(options) })
    credential.value = JSON.stringify(asJson(made))
  } catch (error) {
    // Browsers do not tell who ended it (section 14.5); that nobody did can be seen from the clock.
    const late = error.name === 'NotAllowedError' && performance.now() - begun >= options.timeout
    throw late ? new DOMException('', 'TimeoutError') : error
  }
}

async function start(event) {
  if (!event.submitter?.matches('[data-passkey-start]')) return // cancelling, or another language
  event.preventDefault()
  if (button.disabled) return // Enter in a text field, while the device is waited for
  button.disabled = true
  problem.textContent = ''
  status.textContent = text('waiting')
  try {
    await ceremony()
    form.submit()
  } catch (error) {
    problem.textContent = text(error.name)
    status.textContent = ''
    button.disabled = false
    button.focus()
  }
}

if (window.PublicKeyCredential) {
  without.hidden = true
  button.hidden = false
  form.addEventListener('submit', start)
  window.addEventListener('pageshow', () => (button.disabled = false)) // also after coming back to this page
} else {
  without.textContent = text('unsupported')
}
