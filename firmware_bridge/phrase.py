"""One text in English and Simplified Chinese, for what technicians read, in a terminal or on a page.

>>> Phrase("{count} valves", "{count} 个喷阀").filled(count=3).text("zh-CN")
'3 个喷阀'
"""

from collections.abc import Iterable
from html import escape
from typing import Final, Literal

import msgspec

__all__ = ["LANGUAGES", "Explanation", "Language", "Phrase", "joined"]

Language = Literal["en", "zh-CN"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh-CN")


class Phrase(msgspec.Struct, frozen=True):
    """One text in both languages; `{name}` stands for a value that `filled` puts in."""

    en: str
    zh_cn: str

    def text(self, language: Language) -> str:
        """Return the text in one language."""
        return self.en if language == "en" else self.zh_cn

    def both(self) -> str:
        """Return both texts in one line, or the one text where they are equal: for tooltips."""
        return self.en if self.en == self.zh_cn else f"{self.en} / {self.zh_cn}"

    def filled(self, **values: "str | int | float | Phrase") -> "Phrase":
        """Return the phrase with values in place of their names; a phrase gives its own language.

        Raises:
            KeyError: a name in the text has no value: the caller is wrong.
        """
        en = {name: value.en if isinstance(value, Phrase) else value for name, value in values.items()}
        zh_cn = {name: value.zh_cn if isinstance(value, Phrase) else value for name, value in values.items()}
        return Phrase(self.en.format(**en), self.zh_cn.format(**zh_cn))

    def __html__(self) -> str:
        """Return both texts for a page that shows one of them; templates call it."""
        return self._marked("span")

    def tspans(self) -> str:
        """Return both texts for the inside of an SVG text."""
        return self._marked("tspan")

    def _marked(self, tag: str) -> str:
        if self.en == self.zh_cn:
            return escape(self.en)
        return (
            f'<{tag} class="en" lang="en">{escape(self.en)}</{tag}>'
            f'<{tag} class="zh" lang="zh-CN">{escape(self.zh_cn)}</{tag}>'
        )


class Explanation(msgspec.Struct, frozen=True):
    """Something that happened, for the person who stands before the machine.

    Attributes:
        what: what it is.
        why: what usually causes it.
        remedy: what to do.
    """

    what: Phrase
    why: Phrase
    remedy: Phrase

    def filled(self, **values: str | int | float | Phrase) -> "Explanation":
        """Return the same with values in place of their names.

        Raises:
            KeyError: a name in a text has no value: the caller is wrong.
        """
        return Explanation(self.what.filled(**values), self.why.filled(**values), self.remedy.filled(**values))


def joined(phrases: Iterable[Phrase]) -> Phrase:
    """Return phrases as a list within a sentence."""
    listed = tuple(phrases)
    return Phrase(", ".join(phrase.en for phrase in listed), "、".join(phrase.zh_cn for phrase in listed))
