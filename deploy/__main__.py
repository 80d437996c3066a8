"""`python -m deploy` is `sortloop-deploy`."""

from deploy.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
