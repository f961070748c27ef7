"""The pictures of the report: SVG that takes its colours from the page, so that it follows light, dark and print."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

LABEL_WIDTH: Final = 230
PLOT_WIDTH: Final = 430
VALUE_WIDTH: Final = 245
WIDTH: Final = LABEL_WIDTH + PLOT_WIDTH + VALUE_WIDTH
AXIS_HEIGHT: Final = 38
GROUP_HEIGHT: Final = 24


@dataclass(frozen=True, slots=True)
class Bar:
    """One condition: shares of what the wire carries, 1.0 its limit."""

    group: str
    label: str
    median: float
    least: float
    most: float
    target: float
    """0: none."""
    zmodem: float | None
    """0: did not finish; None: not measured."""


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{html.escape(words)}</text>'


def rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{height:.1f}" class="{kind}"/>'
    )


def vertical(x: float, top: float, bottom: float, kind: str) -> str:
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" class="{kind}"/>'


def picture(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img"><title>{html.escape(title)}</title>'
        + "".join(parts)
        + "</svg>"
    )


# ---- how fast


def efficiency_bars(bars: Sequence[Bar], most: float, title: str) -> str:
    """One row a condition, on a scale from 0 to ``most``; the limit of the wire is a line through all."""
    rows, top, group = list[str](), float(AXIS_HEIGHT), ""
    for bar in bars:
        if bar.group != group:
            group, top = bar.group, top + GROUP_HEIGHT
            rows.append(text(LABEL_WIDTH - 12, top - 6, group, "label strong", "end"))
        rows += _bar(bar, top, most)
        top += 42 if bar.zmodem is not None else 30
    return picture(WIDTH, top + 4, title, [*_scale(most, top), *rows])


def _scale(most: float, bottom: float) -> Iterable[str]:
    step = 0.25 if most <= 1.5 else 0.5
    for number in range(int(most / step) + 1):
        share = number * step
        x = _x(share, most)
        yield vertical(x, AXIS_HEIGHT - 6, bottom, "limit" if share == 1.0 else "grid")
        yield text(x, AXIS_HEIGHT - 10, f"{share * 100:.0f} %", "axis", "middle")
    yield text(_x(1.0, most), AXIS_HEIGHT - 25, "limit of the wire", "axis strong", "middle")


def _bar(bar: Bar, top: float, most: float) -> Iterable[str]:
    yield text(LABEL_WIDTH - 12, top + 18, bar.label, "label", "end")
    yield rect(LABEL_WIDTH, top + 4, _x(bar.median, most) - LABEL_WIDTH, 18, "ours")
    if bar.target:
        yield vertical(_x(bar.target, most), top + 1, top + 25, "target")
    for kind in ("halo", "spread"):
        yield _level(_x(bar.least, most), _x(bar.most, most), top + 13, kind)
    value = LABEL_WIDTH + PLOT_WIDTH + 14
    yield text(value, top + 18, percent(bar.median), "value")
    if bar.target:
        words = f"wanted {percent(bar.target)} " + ("\u2713" if bar.median >= bar.target else "\u2717")
        yield text(value + 78, top + 18, words, "axis" if bar.median >= bar.target else "missed")
    if bar.zmodem is not None:
        yield rect(LABEL_WIDTH, top + 25, _x(bar.zmodem, most) - LABEL_WIDTH, 8, "zmodem")
        yield text(value, top + 34, _zmodem_words(bar.zmodem), "axis")


def _zmodem_words(share: float) -> str:
    return f"ZMODEM {percent(share)}" if share else "ZMODEM did not finish intact"


def _x(share: float, most: float) -> float:
    return LABEL_WIDTH + PLOT_WIDTH * share / most


def percent(share: float) -> str:
    return f"{share * 100:.1f} %"


# ---- where the time goes


Parts = Sequence[tuple[str, float]]
"""(class, share); they add up to 1."""


def stacks(rows: Sequence[tuple[str, str, Parts, Parts]], title: str) -> str:
    """Each row (group, label, what the wire did, what the agent did)."""
    drawn, top, group = list[str](), 0.0, ""
    for row_group, label, wire, agent in rows:
        if row_group != group:
            group, top = row_group, top + GROUP_HEIGHT
            drawn.append(text(LABEL_WIDTH - 62, top - 6, group, "label strong", "end"))
        drawn.append(text(LABEL_WIDTH - 62, top + 24, label, "label", "end"))
        for words, parts, below in (("wire", wire, 0), ("agent", agent, 16)):
            drawn.append(text(LABEL_WIDTH - 12, top + below + 15, words, "axis", "end"))
            drawn += _stack(parts, top + below + 4)
        top += 40
    return picture(WIDTH, top + 4, title, drawn)


def _stack(parts: Parts, top: float) -> Iterable[str]:
    x, width = float(LABEL_WIDTH), PLOT_WIDTH + VALUE_WIDTH - 20
    for kind, share in parts:
        yield rect(x, top, width * share, 15, kind)
        if share >= 0.05:
            yield text(
                x + width * share / 2, top + 11.5, f"{share * 100:.0f} %", f"inside on-{kind}", "middle"
            )
        x += width * share


# ---- rate over time


def rate_curves(runs: Sequence[Sequence[float]], slice_s: float, title: str) -> str:
    """What arrived, as a share of what the line carries, of each run over the same axes."""
    width, height, left, top = 280.0, 96.0, 40.0, 8.0
    seconds = max(len(run) for run in runs) * slice_s
    plot_width, plot_height = width - left - 8, height - top - 20

    def point(number: int, share: float) -> str:
        x = left + plot_width * (number + 0.5) * slice_s / seconds
        return f"{x:.1f},{top + plot_height * (1 - min(share, 1.1) / 1.1):.1f}"

    parts = [
        _level(left, width - 8, top + plot_height * (1 - 1 / 1.1), "limit"),
        _level(left, width - 8, top + plot_height, "grid"),
        text(left - 5, top + plot_height * (1 - 1 / 1.1) + 4, "100 %", "small", "end"),
        text(left - 5, top + plot_height + 3, "0", "small", "end"),
        text(left, height - 4, "0 s", "small"),
        text(width - 8, height - 4, f"{seconds:.0f} s", "small", "end"),
    ]
    for run in runs:
        points = " ".join(point(number, share) for number, share in enumerate(run))
        parts.append(f'<polyline points="{points}" class="curve"/>')
    return picture(width, height, title, parts)


def _level(left: float, right: float, y: float, kind: str) -> str:
    return f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}" class="{kind}"/>'
