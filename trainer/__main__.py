"""`python -m trainer` is `sortloop-train`."""

from trainer.cli import main

main()
