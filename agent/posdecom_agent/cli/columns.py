"""Text in columns of a screen: how wide it is, filled up, cut and wrapped. Chinese takes two columns a character."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence


def width(text: str) -> int:
    """Columns that ``text`` takes (UAX #11: wide and full-width characters take two).

    >>> width("terminal"), width("终端")
    (8, 4)
    """
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def screen_columns() -> int | None:
    """How wide the screen is that results go to; None where they go to a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def padded(text: str, columns: int) -> str:
    """``text`` and the spaces that fill it up.

    >>> padded("终端", 6) + "|"
    '终端  |'
    """
    return text + " " * (columns - width(text))


def cut(text: str, columns: int) -> str:
    """What of ``text`` goes into ``columns``.

    >>> cut("终端 1", 3)
    '终'
    """
    used = 0
    for index, one in enumerate(text):
        used += width(one)
        if used > columns:
            return text[:index]
    return text


def table(rows: Sequence[Sequence[str]]) -> str:
    """``rows`` of equal length as lines, each column as wide as its widest cell."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(padded, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def wrapped(text: str, columns: int) -> Iterator[str]:
    """``text`` in lines of at most ``columns``: at spaces, and between wide characters; longer words stand out.

    >>> list(wrapped("one two three", 8)), list(wrapped("读出终端中的交易", 8))
    (['one two', 'three'], ['读出终端', '中的交易'])
    """
    line = ""
    for piece in _pieces(text):
        if line and width(line + piece.rstrip()) > columns:
            yield line.rstrip()
            line = piece.lstrip()
        else:
            line += piece
    if line.strip():
        yield line.rstrip()


_NOT_FIRST = "，。；：、！？）》”’…"
"""Chinese punctuation that begins no line (GB/T 15834)."""


def _pieces(text: str) -> Iterator[str]:
    """Words with the space after them; wide characters one by one, with the punctuation that clings to them."""
    piece = ""
    for one in " ".join(text.split()):
        new_wide = width(one) == 2 and one not in _NOT_FIRST and not piece.endswith(("（", "《", "“"))
        if piece and (
            new_wide or piece.endswith(" ") or (width(piece[-1]) == 2 and width(one) == 1 and one != " ")
        ):
            yield piece
            piece = ""
        piece += one
    yield piece
