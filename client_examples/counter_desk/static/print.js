// Opens the browser's print window; what of the page goes on paper, the style sheet says.

window.print()
