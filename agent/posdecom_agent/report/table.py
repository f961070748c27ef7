"""A plain table: headings in both languages, rows as high as their text, a new page where one ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..case.kinds import Words
from .paper import GREY, INK, LABEL, MARGIN_MM, Colour, Paper, Style

GAP_MM: Final = 2.5
ROW_GAP_MM: Final = 1.0
SIZE_PT: Final = 7.4

Cell: TypeAlias = str | Words
"""Text, or the same in both languages."""


@dataclass(frozen=True, slots=True)
class Column:
    label: Words
    width_mm: float
    align: str = "L"


def draw_table(
    paper: Paper,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    colours: Sequence[Colour],
    next_page: Callable[[], None] | None = None,
) -> None:
    """Heading and rows, each row in its colour. ``next_page`` begins a page; without it all goes onto this one."""
    draw_headings(paper, columns)
    for row, colour in zip(rows, colours, strict=True):
        if next_page is not None and row_height(paper, columns, row) > paper.left_mm:
            next_page()
            draw_headings(paper, columns)
        draw_row(paper, columns, row, [colour] * len(row))


def draw_headings(paper: Paper, columns: Sequence[Column]) -> None:
    x, y = MARGIN_MM, paper.y
    ends = []
    for column in columns:
        end = paper.text(column.label.en, LABEL, x, y, column.width_mm - GAP_MM, column.align)
        ends.append(paper.text(column.label.zh, LABEL, x, end, column.width_mm - GAP_MM, column.align))
        x += column.width_mm
    paper.y = max(ends) + 0.4


def draw_row(
    paper: Paper, columns: Sequence[Column], cells: Sequence[Cell], colours: Sequence[Colour]
) -> None:
    x, y = MARGIN_MM, paper.y
    ends = []
    for column, cell, colour in zip(columns, cells, colours, strict=True):
        end = y
        for text, style in _lines(cell, colour):
            end = paper.text(text, style, x, end, column.width_mm - GAP_MM, column.align)
        ends.append(end)
        x += column.width_mm
    paper.y = max(ends) + ROW_GAP_MM


def row_height(paper: Paper, columns: Sequence[Column], cells: Sequence[Cell]) -> float:
    heights = (
        sum(paper.height_mm(text, style, column.width_mm - GAP_MM) for text, style in _lines(cell, INK))
        for column, cell in zip(columns, cells, strict=True)
    )
    return max(heights) + ROW_GAP_MM


def _lines(cell: Cell, colour: Colour) -> Iterator[tuple[str, Style]]:
    """English in its colour; Chinese below it, quieter, where it says something else."""
    if isinstance(cell, str):
        yield cell, Style(SIZE_PT, colour)
        return
    yield cell.en, Style(SIZE_PT, colour)
    if cell.zh != cell.en:
        yield cell.zh, Style(SIZE_PT - 0.4, GREY if colour == INK else colour)
