"""How an answer of the case is written, and the one line of text that it becomes.

Each kind takes what TOML gives (text, date, true or false) and returns the text that stands in the certificate, or
raises `ValueError` with a sentence that says how to write it.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Final, Protocol

from posdecom_protocol.errors import DocumentError
from posdecom_protocol.schema import Text as DocumentText

from ..wording import N_

TEXT_CHARACTERS_MAX: Final = 300
CELL_CHARACTERS_MAX: Final = 100
"""In a table's row, which becomes one line of the certificate (at most 400 characters)."""

_MONEY: Final = re.compile(r"(0|[1-9][0-9]{0,12})(\.[0-9]{1,3})? [A-Z]{3}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Words:
    """The same in both languages of a certificate."""

    en: str
    zh: str


class Kind(Protocol):
    @property
    def hint(self) -> Words: ...
    @property
    def example(self) -> str:
        """As it stands in the file."""

    def text(self, value: object) -> str: ...


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text in which every character shows."""

    high: int = TEXT_CHARACTERS_MAX
    hint: Words = Words("text; none if there is none", "文字；没有则写“无”")
    example: str = '""'

    def text(self, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError(N_('write it as text, in quotes: "..."'))
        try:
            return DocumentText(self.high).unpack(value.strip(), "text")
        except DocumentError as error:
            raise ValueError(error.reason) from error


@dataclass(frozen=True, slots=True)
class Day:
    hint: Words = Words("a date: 2027-01-15", "日期：2027-01-15")
    example: str = "2027-01-15"

    def text(self, value: object) -> str:
        if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
            return value.isoformat()
        try:
            assert isinstance(value, str)
            return datetime.date.fromisoformat(value).isoformat()
        except (AssertionError, ValueError) as error:
            raise ValueError(N_("write a date: 2027-01-15")) from error


@dataclass(frozen=True, slots=True)
class YesNo:
    hint: Words = Words("true or false", "true（是）或 false（否）")
    example: str = "true"

    def text(self, value: object) -> str:
        if not isinstance(value, bool):
            raise ValueError(N_("write true or false, without quotes"))
        return "yes" if value else "no"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount as people write it. No number: a binary fraction is no money."""

    hint: Words = Words("an amount: 120.50 CNY", "金额：120.50 CNY")
    example: str = '"0.00 CNY"'

    def text(self, value: object) -> str:
        if not isinstance(value, str) or not _MONEY.fullmatch(value):
            raise ValueError(N_('write an amount with its currency, in quotes: "120.50 CNY"'))
        return value


@dataclass(frozen=True, slots=True)
class Sha256:
    """A file by its hash."""

    hint: Words = Words("SHA-256, 64 hexadecimal digits", "SHA-256，64位十六进制")
    example: str = '""'

    def text(self, value: object) -> str:
        if not isinstance(value, str) or not _SHA256.fullmatch(value.lower()):
            raise ValueError(N_("write a SHA-256: 64 hexadecimal digits, as sha256sum prints it"))
        return value.lower()


@dataclass(frozen=True, slots=True)
class Octets:
    """``size`` bytes in hexadecimal digits."""

    size: int
    hint: Words = Words("hexadecimal digits", "十六进制")
    example: str = '""'

    def text(self, value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(f"[0-9a-f]{{{2 * self.size}}}", value):
            raise ValueError(N_("write {count} hexadecimal digits", count=2 * self.size))
        return value


@dataclass(frozen=True, slots=True)
class Choice:
    """One word of a closed list, with its meaning in both languages."""

    words: tuple[tuple[str, Words], ...]

    @property
    def hint(self) -> Words:
        return Words(
            ", ".join(word for word, _ in self.words),
            "，".join(f"{word}（{meaning.zh}）" for word, meaning in self.words),
        )

    @property
    def example(self) -> str:
        return f'"{self.words[0][0]}"'

    def text(self, value: object) -> str:
        if value not in dict(self.words):
            raise ValueError(N_("write one of: {words}", words=", ".join(word for word, _ in self.words)))
        assert isinstance(value, str)
        return value

    def meaning(self, text: str) -> Words:
        return dict(self.words).get(text, Words(text, text))
