"""Where a command's words go: the result to stdout and nothing else, all talk to stderr.

A result is text, or with ``--json`` exactly one JSON document with ``"schema": "posdecom/<command>/1"``; a failure with
``--json`` is one document of schema ``posdecom/error/1``. ``--quiet`` silences talk, never results and never errors.
Colour only on a terminal, never with ``NO_COLOR`` (no-color.org).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar

import click

from ..wording import LANGUAGES, N_, _

if TYPE_CHECKING:
    from ..trouble import Trouble

REWRITE_INTERVAL_S: Final = 0.1
"""A terminal's progress line changes at most this often."""

LINE_INTERVAL_S: Final = 5.0
"""A pipe gets a progress line at most this often: enough to see life, few enough to keep a log readable."""

COLUMNS_MAX: Final = 79
"""A longer line wraps, and a wrapped line cannot be rewritten."""

ERASE_LINE: Final = "\r\x1b[K"
"""Carriage return, then ECMA-48 EL (erase to the end of the line)."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Progress:
    """One line on a terminal, rewritten; on a pipe one line for each phase and then at most one every 5 s."""

    stream: TextIO
    rewrites: bool
    phase: str | None = None
    started_s: float = 0.0
    shown_s: float = 0.0
    line_is_open: bool = False

    def update(self, phase: str, done: int, total: int | None, now: float) -> None:
        """Show that ``done`` of ``total`` (None: unknown) is reached at ``now`` (seconds)."""
        if phase != self.phase:
            self.end()
            self.phase, self.started_s = phase, now
        elif now - self.shown_s < (REWRITE_INTERVAL_S if self.rewrites else LINE_INTERVAL_S):
            return
        self.shown_s = now
        self._show(progress_text(phase, done, total, now - self.started_s)[:COLUMNS_MAX])

    def end(self) -> None:
        """Leave the line as it is; what follows starts on a new one."""
        if self.line_is_open:
            self.stream.write("\n")
            self.stream.flush()
            self.line_is_open = False

    def _show(self, text: str) -> None:
        self.stream.write(f"{ERASE_LINE}{text}" if self.rewrites else f"{text}\n")
        self.stream.flush()
        self.line_is_open = self.rewrites


def progress_text(phase: str, done: int, total: int | None, elapsed_s: float) -> str:
    """
    >>> progress_text("flush", 30, 120, 10.0)
    'flush: 30 of 120 (25 %), about 30 s left'
    >>> progress_text("flush", 0, 120, 0.0), progress_text("erase", 0, None, 3.0), progress_text("flush", 3, None, 3.0)
    ('flush: 0 of 120 (0 %)', 'erase', 'flush: 3')
    """
    if not total:
        return f"{phase}: {done}" if done else phase
    if 0 < done < total and elapsed_s >= 1:
        left_s = elapsed_s * (total - done) / done
        return _(
            "{phase}: {done} of {total} ({percent} %), about {left:.0f} s left",
            phase=phase,
            done=done,
            total=total,
            percent=100 * done // total,
            left=left_s,
        )
    return _(
        "{phase}: {done} of {total} ({percent} %)",
        phase=phase,
        done=done,
        total=total,
        percent=100 * done // total,
    )


@dataclass(slots=True)
class Output:
    """How this run speaks. Made by `main`, handed to commands by `pass_output`."""

    as_json: bool = False
    quiet: bool = False
    _progress: Progress | None = field(default=None, repr=False)

    def result(self, command: str, document: Mapping[str, object], text: str) -> None:
        """Print the command's one result: ``document`` with ``--json``, else ``text``."""
        self._end_progress()
        if self.as_json:
            _print_json({"schema": f"posdecom/{command}/1", **document})
        elif text:
            click.echo(text)

    def say(self, line: str) -> None:
        """Tell the person at the screen, not the program behind the pipe."""
        self._end_progress()
        if not self.quiet:
            click.echo(line, err=True)

    def progress(self, phase: str, done: int, total: int | None, now: float) -> None:
        """Show progress on stderr; call as often as you like."""
        if self.quiet:
            return
        if self._progress is None:
            self._progress = Progress(sys.stderr, rewrites=sys.stderr.isatty())
        self._progress.update(phase, done, total, now)

    def fail(self, trouble: Trouble) -> None:
        """Print three lines on stderr, and with ``--json`` the same as one document on stdout."""
        self._end_progress()
        first, *rest = trouble.lines()
        colour = False if os.environ.get("NO_COLOR") else None
        click.echo(click.style(first, fg="red"), err=True, color=colour)
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
    """Give a command ``--json``, ``--quiet`` and ``--lang``: how it speaks is no parameter of what it does."""
    command = language_option(command)
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


def _print_json(document: Mapping[str, object]) -> None:
    click.echo(json.dumps(document, indent=2))
