// Says again what the page has come to say: screen readers speak what changes in a live region, not what it held at first.

for (const region of document.querySelectorAll('[role=status][data-said], [role=alert]')) {
  const words = region.textContent
  region.style.minHeight = `${region.offsetHeight}px` // nothing below it moves
  region.textContent = ''
  setTimeout(() => { region.textContent = words }, 100)
}
