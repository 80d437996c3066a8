r"""Text that any terminal and any JSON reader takes, whatever bytes a file's name is made of.

Linux allows any bytes in a name; Python keeps those that are no UTF-8 as lone surrogates, which nothing can print.

>>> printable("frame\udcb2\udce2.png")
'frame\\xb2\\xe2.png'
"""

__all__ = ["printable"]


def printable(text: str) -> str:
    """Return a text with what is no Unicode written as backslash and digits; any other text as it is."""
    try:
        data = text.encode(errors="surrogateescape")  # bytes of a name become those bytes again
    except UnicodeEncodeError:  # a surrogate that no name is made of, from a JSON file for instance
        data = text.encode(errors="backslashreplace")
    return data.decode(errors="backslashreplace")
