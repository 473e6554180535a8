"""Start the desk: `python -m client_examples.counter_desk --help`."""

from .app import main

main()
