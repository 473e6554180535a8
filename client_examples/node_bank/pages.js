// The bank's pages, in both languages, without scripts.
const escape = (text) => String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

const STATES = {
  waiting: ['稍後再試', 'Trying again soon'],
  preparing: ['機關準備中', 'Being prepared by the agency'],
  done: ['已取得，機關簽章正確', 'Received; the agency’s signature is right'],
  'no-record': ['查無資料', 'The agency has no record'],
  failed: ['未取得', 'Not received'],
}

export function startPage(zh, purposes) {
  const forms = Object.entries(purposes).map(([id, [zhText, enText]]) => `
    <form method="post" action="/apply/${id}"><h2>${zh ? zhText : enText}</h2>
    <button id="apply-${id}">${zh ? '以 MyData 申請' : 'Apply with MyData'}</button></form>`)
  return page(zh, zh ? '您想申請什麼？' : 'What would you like to apply for?', forms.join(''))
}

export function resultPage(zh, fetches, refreshSeconds) {
  const received = fetches.some(({ status }) => status === 'done')
  const title = refreshSeconds
    ? (zh ? '部分資料準備中' : 'Some data is being prepared')
    : received ? (zh ? '已收到您的資料' : 'We have your data') : (zh ? '沒有取得任何資料' : 'We received no data')
  const named = ({ name }) => escape(zh ? name.zh : name.en)
  const year = (text) => (zh ? `民國 ${text} 年` : `${Number(text) + 1911} (ROC year ${text})`)
  const shown = (value, members, id = '') => value === null ? '–'
    : Array.isArray(value) ? value.map((one) => shown(one, members)).join('<br>')
    : typeof value === 'object' ? Object.entries(value).map(([id, one]) => `${named(members[id])} ${shown(one, members, id)}`).join(zh ? '；' : '; ')
    : typeof value === 'boolean' ? (zh ? (value ? '是' : '否') : value ? 'yes' : 'no')
    : id.endsWith('year') && /^\d+$/.test(value) ? year(value)
    : typeof value === 'number' ? value.toLocaleString('en', { maximumFractionDigits: 20 }) : escape(value)
  const rows = ({ fields, members }, data) => fields.filter(({ id }) => id in data)
    .map((field) => `<dt>${named(field)}</dt><dd>${shown(data[field.id], members, field.id)}</dd>`)
  const sections = fetches.map(({ grant, dataset, status, content, note }) => `
    <section id="${escape(grant.dataset)}"><h2>${dataset ? named(dataset) : escape(grant.dataset)}</h2>
    <p data-status="${status}">${STATES[status][zh ? 0 : 1]}</p>
    <p>${zh ? '參考編號' : 'Reference'} ${escape(grant.transaction)}</p>
    ${content ? `<dl>${rows(dataset, content.data).join('')}</dl>` : ''}
    ${status === 'failed' ? `<p>${zh ? '請把這個告訴平臺：' : 'Please tell the platform this:'} ${escape(note)}</p>` : ''}</section>`)
  const again = zh ? `本頁將於 ${refreshSeconds} 秒後再次詢問。<a href="/result">立即再試</a>`
    : `This page asks again in ${refreshSeconds} seconds. <a href="/result">Ask now</a>`
  return page(zh, title, (refreshSeconds ? `<p role="status">${again}</p>` : '') + sections.join(''), refreshSeconds)
}

export function refusedPage(zh, reason) {
  const text = reason === 'access_denied'
    ? (zh ? '您選擇不同意，因此沒有送出任何資料。' : 'You chose not to agree, so nothing was sent.')
    : `${zh ? '沒有完成向 MyData 平臺提出的要求。' : 'The request to the MyData platform was not completed.'} ${escape(reason)}`
  const again = `<p><a href="/">${zh ? '重新開始' : 'Start again'}</a></p>`
  return page(zh, zh ? '沒有取得任何資料' : 'We received no data', `<p>${text}</p>${again}`)
}

export function missingPage(zh) {
  const text = zh ? '請檢查網址，或從首頁開始。' : 'Check the address, or begin on the first page.'
  const again = `<p><a href="/">${zh ? '重新開始' : 'Start again'}</a></p>`
  return page(zh, zh ? '沒有這個頁面' : 'There is no such page', `<p>${text}</p>${again}`)
}

function page(zh, title, body, refreshSeconds = 0) {
  const bank = zh ? '乙銀行' : 'Second Bank of Samples'
  return `<!doctype html>
<html lang="${zh ? 'zh-Hant-TW' : 'en'}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${refreshSeconds ? `<meta http-equiv="refresh" content="${refreshSeconds}">` : ''}
<title>${title} - ${bank}</title><link rel="icon" href="data:,">
<style>body{font:1.0625rem/1.7 system-ui,"Noto Sans TC","PingFang TC",sans-serif;color:#22303a;background:#f7f8f6;margin:0}
header,main,footer{max-width:44rem;margin:auto;padding:1rem min(1.25rem,6vw);overflow-wrap:anywhere}main{background:#fff;border:1px solid #d6dcd6;border-radius:.5rem}
header{display:flex;flex-wrap:wrap;justify-content:space-between;gap:1rem}h1{font-size:1.5rem}h2{font-size:1.15rem;margin:1.5rem 0 .25rem}
button{font:inherit;font-weight:600;padding:.7rem 1.2rem;color:#fff;background:#2f6b3c;border:0;border-radius:.3rem}
a{color:#2f6b3c}dl{display:grid;grid-template-columns:minmax(7rem,13rem) 1fr}dt{color:#56636d}
dt,dd{margin:0;padding:.4rem .5rem .4rem 0;border-top:1px solid #d6dcd6;overflow-wrap:anywhere}
@media(max-width:30rem){dl{grid-template-columns:1fr}dd{border-top:0;padding-top:0}}header [lang]{white-space:nowrap}
a:focus-visible,button:focus-visible{outline:3px solid #ffbf47;outline-offset:2px}</style></head>
<body><header><a href="/">${bank}</a>${zh ? '<a href="?lang=en" lang="en">English</a>'
    : '<a href="?lang=zh-TW" lang="zh-Hant-TW">繁體中文</a>'}</header>
<main><h1>${title}</h1>${body}</main>
<footer>${zh ? '示範網站：銀行與資料均為虛構。' : 'A demonstration: neither bank nor data are real.'}</footer></body></html>`
}
