"""How classes may be called, and which names stand for no class yet.

A sample without a label is called `unnamed`; a set that a program found in such samples `unnamed-01` and so on. Both
are provisional: they can be looked at, named and taken out, but nothing trains on them.

>>> is_class_name("full_black"), is_class_name("a/b"), is_provisional("unnamed-03"), is_provisional("unnamed_bean")
(True, False, True, False)
"""

import re
from collections.abc import Iterable
from typing import Final

from trainer.errors import UnnamedClassesError

__all__ = ["UNNAMED", "check_named", "is_class_name", "is_provisional", "provisional_name"]

UNNAMED: Final = "unnamed"
# Latin letters and digits, and the letters of Chinese, Japanese and Korean; a leading dot or dash is taken for a
# hidden file or an option.
_CLASS_NAME: Final = re.compile(
    r"(?![.-])[A-Za-z0-9_.\-\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]{1,64}"
)


def is_class_name(name: str) -> bool:
    """Return whether a name can name a class: 1 to 64 letters, digits, `_`, `.` and `-`, no leading dot or dash.

    >>> is_class_name("full_black"), is_class_name("破碎"), is_class_name("a/b")
    (True, True, False)
    """
    return _CLASS_NAME.fullmatch(name) is not None


def is_provisional(name: str) -> bool:
    """Return whether a name stands for no class yet: `unnamed`, or anything that begins with `unnamed-`."""
    return name == UNNAMED or name.startswith(f"{UNNAMED}-")


def provisional_name(number: int) -> str:
    """Return the name of the found set `number`, counted from 1."""
    return f"{UNNAMED}-{number:02d}"


def check_named(names: Iterable[str]) -> None:
    """Return only if every class has a name of its own.

    Raises:
        UnnamedClassesError: some are provisional: right and wrong mean nothing for a set that nobody has named.
    """
    unnamed = sorted(name for name in names if is_provisional(name))
    if unnamed:
        raise UnnamedClassesError(
            f"samples without a class: {', '.join(unnamed)}; nothing is trained until all have one"
        )
