// Shows a visit to a counter as it goes on: asks every few seconds whether the page is still as it is, and opens it anew:
// at its top, where the news is, and never as a form that would be sent again.
// Without it the page does the same by itself, more slowly.

const shown = document.querySelector('[data-visit-state]')

async function look() {
  try {
    const answer = await fetch(shown.dataset.visitUrl, { headers: { Accept: 'application/json' } })
    if (answer.redirected || (answer.ok && (await answer.json()).state !== shown.dataset.visitState)) {
      location.replace(location.pathname + location.search)
    }
  } catch {
    // Off the net for a moment: the next look tells.
  }
}

setInterval(look, 3000)
