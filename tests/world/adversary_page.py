"""The adversary's tables in docs/testing.md, made from what it tried: ``python tests/world/adversary_page.py``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from posdecom_world.adversary.matrix import Matrix
from posdecom_world.adversary.whole import MATRICES, matrix

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "testing.md"
BEGIN: Final = "<!-- adversary: {name} -->\n"
END: Final = "<!-- end of adversary -->"

Cells = dict[tuple[str, str], set[str]]


def table(made: Matrix) -> str:
    return "\n".join(made.letters()) + "\n"


def written(name: str) -> str:
    """The table as it stands on the page."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN.format(name=name))
    return rest.partition(END)[0]


def cells(text: str) -> Cells:
    """Letters by kind and state."""
    head, _, *rows = (list(_columns(line)) for line in text.strip().splitlines())
    return {
        (row[0], state): set(letters.split())
        for row in rows
        for state, letters in zip(head[1:], row[1:], strict=True)
    }


def _columns(line: str) -> Iterator[str]:
    yield from (cell.strip() for cell in line.strip().strip("|").split("|"))


def _write(name: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, mark, rest = page.partition(BEGIN.format(name=name))
    _, end, after = rest.partition(END)
    assert mark and end, f"the page has no place for {name}"
    PAGE.write_text(before + mark + table(matrix(name)) + end + after, encoding="utf-8")


if __name__ == "__main__":
    for one in MATRICES:
        _write(one)
