// Verifies a package of an agency (ZIP) on the page /verify: chosen or dropped, read here, and never sent anywhere. All
// other files go to the server with the form, as without this script; dropped ones are put into it.
//
//   #package                    shown: that files can be dropped
//   #package-verdict            gets heading, sentence and facts
//   <template id="verify-texts">  a <p data-name> for each text; `client:` and an id for a recipient that has words here

import { NotIntact, signedAt, unzip, verify, written } from './package.js'

const chooser = document.getElementById('document')
const verdict = document.getElementById('package-verdict')
const texts = document.getElementById('verify-texts').content
const language = document.documentElement.lang.startsWith('en') ? 'en' : 'zh'
const text = (name) => texts.querySelector(`[data-name="${name}"]`).textContent
const element = (tag, content) => Object.assign(document.createElement(tag), { textContent: content })

function show(good, sentence, facts = []) {
  verdict.className = `verdict verdict-${good ? 'good' : 'bad'}`
  const list = element('dl', '')
  list.append(
    ...facts.filter(([, value]) => value).map(([name, value]) => {
      const fact = element('div', '')
      fact.append(element('dt', text(name)), element('dd', value))
      return fact
    }),
  )
  verdict.replaceChildren(element('h2', text(good ? 'good' : 'bad')), element('p', text(sentence)), list)
  verdict.hidden = false
  verdict.focus()
}

const load = async (path) => {
  const answer = await fetch(path, { cache: 'no-cache' }).catch(() => null)
  return answer?.ok ? answer.json() : null
}

async function judge(octets) {
  // The same two for every package, whoever it is from and for.
  const [catalogue, recipients] = await Promise.all(['/catalogue', '/recipients'].map(load))
  if (!catalogue) return show(false, 'no-answer')
  const { agencies, counties } = catalogue
  try {
    const { manifest, agency } = await verify(await unzip(octets), agencies)
    const dataset = agency.datasets.find((one) => one.id === manifest.dataset)
    const asked = Object.entries(manifest.parameters ?? {}).map(([name, value]) => {
      const parameter = dataset?.parameters.find((one) => one.id === name)
      return `${parameter?.name[language] ?? name} ${written(name, value, counties)}`
    })
    const own = texts.querySelector(`[data-name="client:${CSS.escape(manifest.aud)}"]`)
    return show(true, 'intact', [
      ['agency', agency.name[language]],
      ['when', signedAt(manifest)],
      ['data', dataset?.name[language] ?? manifest.dataset],
      ['parameters', asked.join(language === 'en' ? ', ' : '、')],
      ['of', manifest.files.map((file) => file.name).join(', ')],
      ['recipient', own?.textContent ?? recipients?.[manifest.aud]?.[language] ?? manifest.aud],
      ['reference', manifest.txn],
    ])
  } catch (error) {
    const known = error instanceof NotIntact && texts.querySelector(`[data-name="${error.message}"]`)
    return show(false, known ? error.message : 'form')
  }
}

let reading = false

async function take(file) {
  verdict.hidden = true
  reading = true
  const octets = new Uint8Array(await file.arrayBuffer())
  reading = false
  const isZip = octets.length > 4 && octets[0] === 0x50 && octets[1] === 0x4b
  if (!isZip) return false
  chooser.value = '' // so that the form can't send it
  await judge(octets)
  return true
}

// Until it is known whether it is a package, which must not leave; once it was judged, the button leads to the verdict.
const judged = () => !verdict.hidden && !chooser.value && !document.getElementById('text').value
chooser.form.addEventListener('submit', (event) => {
  if (!reading && !(event.submitter?.id === 'verify-submit' && judged())) return
  event.preventDefault()
  verdict.focus()
})
chooser.addEventListener('change', () => chooser.files[0] && take(chooser.files[0]))
document.addEventListener('dragover', (event) => event.preventDefault())
document.addEventListener('drop', async (event) => {
  event.preventDefault()
  const { files } = event.dataTransfer
  if (files.length && !(await take(files[0]))) chooser.files = files
})
document.getElementById('package').hidden = false
