"""`python -m firmware_bridge` is `sortloop-link`."""

from firmware_bridge.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
