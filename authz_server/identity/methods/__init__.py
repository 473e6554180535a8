"""Ways of proving who one is: `base` says what a method is and how to add one, `registry` which there are."""
