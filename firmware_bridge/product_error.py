"""The root of every error that a person can act on.

A file of its own, so that a process that sorts, without a command line, does not wait for one to be imported.

>>> ProductError("port /dev/ttyACM0 is gone").exit_code
70
"""

from typing import ClassVar, Final

__all__ = ["EXIT_BUG", "ProductError"]

EXIT_BUG: Final = 70


class ProductError(Exception):
    """Base of every error that a person can act on; each package has its own tree below it."""

    exit_code: ClassVar[int] = EXIT_BUG
    remedy: ClassVar[str] = "Please report this with the log: it is a fault of the software."
