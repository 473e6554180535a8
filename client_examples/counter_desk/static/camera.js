// Sends what the camera sees, a picture a second, to the desk, which reads it as it reads an upload.

const video = document.getElementById('video')
const status = document.getElementById('status')
const canvas = document.createElement('canvas')
const say = (name) => { status.textContent = status.dataset[name] }

async function look() {
  canvas.width = video.videoWidth
  canvas.height = video.videoHeight
  canvas.getContext('2d').drawImage(video, 0, 0)
  const picture = await new Promise((done) => canvas.toBlob(done, 'image/png'))
  const form = new FormData()
  form.append('file', picture, 'camera.png')
  const answer = await fetch(video.dataset.send, { method: 'POST', body: form })
  if (answer.redirected) {
    say('read')
    location.assign(answer.url)
    return
  }
  // A barcode that was read and refused is not looked at again and again: that would lock the counter.
  if ((await answer.text()).includes('data-read')) say('refused')
  else setTimeout(look, 1000)
}

try {
  video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } })
  await video.play()
  say('looking')
  look()
} catch {
  video.hidden = true
  say('away')
}
