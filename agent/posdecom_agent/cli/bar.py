"""Progress on a screen: a bar with count, rate and time left, drawn by rich. Imported when the first one is drawn."""

from __future__ import annotations

from typing import Final, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

REDRAW_INTERVAL_S: Final = 0.1
BAR_COLUMNS: Final = 24


class Bar:
    """One bar at a time, one for each phase; redrawn at most ten times a second, by no thread of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        self._phase: str | None = None
        self._now = self._drawn_s = 0.0
        self._progress: Progress | None = None

    def update(self, phase: str, done: int, total: int | None, now: float) -> None:
        self._now = now
        if self._progress is None or phase != self._phase:
            self.end()
            self._begin(phase, total)
        elif now - self._drawn_s < REDRAW_INTERVAL_S and done != total:
            return
        self._drawn_s = now
        assert self._progress is not None
        self._progress.update(self._progress.task_ids[0], completed=done, total=total, refresh=True)

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _begin(self, phase: str, total: int | None) -> None:
        self._phase = phase
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(BAR_COLUMNS),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            auto_refresh=False,
            get_time=lambda: self._now,
        )
        self._progress.add_task(phase, total=total)
        self._progress.start()


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s")
