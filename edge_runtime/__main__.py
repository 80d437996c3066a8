"""`python -m edge_runtime` is `sortloop-edge`."""

from edge_runtime.cli import main

main()
