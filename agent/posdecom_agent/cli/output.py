"""Where a command's words go: the result to stdout and nothing else, all talk to stderr.

A result is text, or with ``--json`` exactly one JSON document with ``"schema": "posdecom/<command>/1"``; a failure with
``--json`` is one document of schema ``posdecom/error/1``. ``--quiet`` silences talk, never results and never errors.
Colour only on a terminal, never with ``NO_COLOR`` (no-color.org). ``--events`` tells programs what happens
(docs/events.md).
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO, TypeVar

import click

from ..wording import LANGUAGES, N_, _

if TYPE_CHECKING:
    from ..trouble import Trouble
    from .events import Events

LINE_INTERVAL_S: Final = 5.0
"""A pipe gets a progress line at most this often: enough to see life, few enough to keep a log readable."""

EVENT_INTERVAL_S: Final = 1.0

MARKS: Final = {"  ok  ": "green", "  --  ": "yellow", "  !!  ": "red"}
"""Marks at the beginning of a result's lines, and their colours on a screen."""

_STEERING: Final = re.compile(
    r"(?!\r?\n)[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Controls but ends of lines, marks that turn the direction, and bytes of file names that are no text."""

F = TypeVar("F", bound=Callable[..., Any])


class Shows(Protocol):
    """How progress is shown."""

    def update(self, phase: str, done: int, total: int | None, now: float) -> None:
        """Show that ``done`` of ``total`` (None: unknown) is reached at ``now`` (seconds)."""

    def end(self) -> None:
        """Leave it as it is; what follows starts on a new line."""


@dataclass(slots=True)
class Lines:
    """On a pipe: one line for each phase, and then at most one every 5 s."""

    stream: TextIO
    phase: str | None = None
    started_s: float = 0.0
    shown_s: float = 0.0

    def update(self, phase: str, done: int, total: int | None, now: float) -> None:
        if phase != self.phase:
            self.phase, self.started_s = phase, now
        elif now - self.shown_s < LINE_INTERVAL_S:
            return
        self.shown_s = now
        self.stream.write(f"{progress_text(phase, done, total, now - self.started_s)}\n")
        self.stream.flush()

    def end(self) -> None:
        pass


def progress_text(phase: str, done: int, total: int | None, elapsed_s: float) -> str:
    """
    >>> progress_text("flush", 30, 120, 10.0)
    'flush: 30 of 120 (25 %), 3.0 a second, about 30 s left'
    >>> progress_text("flush", 0, 120, 0.0), progress_text("erase", 0, None, 3.0), progress_text("flush", 3, None, 0.0)
    ('flush: 0 of 120 (0 %)', 'erase', 'flush: 3')
    """
    if not done and not total:
        return phase
    rate = done / elapsed_s if elapsed_s >= 1 else 0.0
    parts = [f"{phase}: {done}"]
    if total:
        parts = [_("{phase}: {done} of {total} ({percent} %)", phase=phase, done=done, total=total,
                   percent=100 * done // total)]  # fmt: skip
    if rate:
        parts.append(_("{rate:.1f} a second", rate=rate))
    if rate and total and done < total:
        parts.append(_("about {left:.0f} s left", left=(total - done) / rate))
    return ", ".join(parts)


@dataclass(slots=True)
class Output:
    """How this run speaks. Made by `main`, handed to commands by `pass_output`."""

    as_json: bool = False
    quiet: bool = False
    events: Events | None = None
    _progress: Shows | None = field(default=None, repr=False)
    _event_due_s: float = 0.0

    def result(self, command: str, document: Mapping[str, object], text: str) -> None:
        """Print the command's one result: ``document`` with ``--json``, else ``text``."""
        self._end_progress()
        if self.as_json:
            _print_json({"schema": f"posdecom/{command}/1", **document})
        elif text:
            text = _harmless(text)
            click.echo(_coloured(text) if _has_colour(sys.stdout) else text)

    def say(self, line: str) -> None:
        """Tell the person at the screen, not the program behind the pipe."""
        self._end_progress()
        if not self.quiet:
            click.echo(_harmless(line), err=True)

    def progress(self, phase: str, done: int, total: int | None, now: float) -> None:
        """Show progress on stderr; call as often as you like."""
        if self.events is not None and (now >= self._event_due_s or done == total):
            self._event_due_s = now + EVENT_INTERVAL_S
            self.events.emit("progress", done=done, total=total)
        if self.quiet:
            return
        if self._progress is None:
            self._progress = _shows(sys.stderr)
        self._progress.update(phase, done, total, now)

    def event(self, kind: str, **fields: object) -> None:
        """For the program behind ``--events``; nothing where there is none."""
        if self.events is not None:
            self.events.emit(kind, **fields)

    def fail(self, trouble: Trouble) -> None:
        """Print three lines on stderr, and with ``--json`` the same as one document on stdout."""
        self._end_progress()
        first, *rest = trouble.lines()
        self.event("error", **trouble.document())
        click.echo(click.style(first, fg="red") if _has_colour(sys.stderr) else first, err=True)
        for line in rest:
            click.echo(line, err=True)
        if self.as_json:
            _print_json({"schema": "posdecom/error/1", **trouble.document()})

    def _end_progress(self) -> None:
        if self._progress is not None:
            self._progress.end()


pass_output = click.make_pass_decorator(Output, ensure=True)


def language_option(command: F) -> F:
    """``--lang``, here only to be known and checked: `main` reads it before click does, because help is a text too."""
    option = click.option(
        "--lang", type=click.Choice(tuple(LANGUAGES)), expose_value=False, help=N_("Language of all talk.")
    )
    return option(command)


def output_options(command: F) -> F:
    """``--json``, ``--quiet``, ``--events`` and ``--lang``: how a command speaks is no parameter of what it does."""
    command = language_option(command)
    command = click.option(
        "--events",
        metavar="FILE",
        expose_value=False,
        callback=_open_events,
        help=N_("Append what happens to FILE, one JSON object a line."),
    )(command)
    for name, attribute, text in (
        ("--quiet", "quiet", N_("Say nothing but the result and errors.")),
        ("--json", "as_json", N_("Print the result as one JSON document.")),
    ):
        command = click.option(
            name, attribute, is_flag=True, is_eager=True, expose_value=False, callback=_remember, help=text
        )(command)
    return command


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    assert parameter.name is not None
    setattr(context.ensure_object(Output), parameter.name, value)


def _open_events(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        from .events import Events

        output = context.ensure_object(Output)
        output.events = Events(value)
        output.event("start", command=context.command_path)


def _shows(stream: TextIO) -> Shows:
    """A bar on a screen, lines for everything else. What draws bars is imported when the first one is drawn."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return Lines(stream)
    from .bar import Bar

    return Bar(stream)


def _has_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


def _harmless(text: str) -> str:
    """``text``, whoever wrote parts of it (a desk, a USB device, a file's name), without what would steer a screen."""
    return _STEERING.sub("?", text)


def _coloured(text: str) -> str:
    return "\n".join(
        click.style(line[:6], fg=MARKS[line[:6]]) + line[6:] if line[:6] in MARKS else line
        for line in text.split("\n")
    )


def _print_json(document: Mapping[str, object]) -> None:
    click.echo(json.dumps(document, indent=2))
