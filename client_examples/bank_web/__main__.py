"""Start the bank: `python -m client_examples.bank_web --help`."""

from .app import main

main()
