"""Help in the person's language: a command's own texts and click's, wrapped by the width that they take on the screen.

Help texts are marked with `N_` where a command is declared. `in_language` gives the command back as it is shown: its
declaration stays English, because one process may be asked in both.
"""

from __future__ import annotations

import copy
import gettext
import os
from collections.abc import Iterable, Iterator
from typing import Final

import click

from ..wording import DOMAIN, LANGUAGES, LOCALE, N_, _, spoken
from .columns import padded, width, wrapped

# fmt: off
OF_CLICK: Final = (
    N_("Usage:"), N_("Options"), N_("Commands"), N_("Show this message and exit."),
    N_("Show the version and exit."), N_("default: {default}"), N_("required"),
    N_("Missing option"), N_("Missing argument"), N_("Missing parameter"), N_("Missing command."),
    N_("No such command {name!r}."), N_("No such option {name!r}."), N_("Option {name!r} does not take a value."),
    N_("Invalid value: {message}"), N_("Invalid value for {param_hint}: {message}"),
    N_("{name} {filename!r} does not exist."), N_("{name} {filename!r} is a file."),
    N_("{name} {filename!r} is a directory."), N_("{value!r} is not a valid {number_type}."),
    N_("file"), N_("directory"), N_("path"), N_("Error: {message}"),
)
# fmt: on
"""What click says in help and errors that a person may meet; it looks these up with gettext itself."""

FIRST_COLUMN_MAX: Final = 30


def let_click_speak() -> None:
    """Let click, and processes that are started from here, use the spoken language."""
    folder = LANGUAGES[spoken()]
    if folder is None:
        gettext.textdomain("messages")
        return
    os.environ["POSDECOM_LANG"] = spoken()
    os.environ["LANGUAGE"] = folder  # gettext's own first choice, whatever the locale is
    gettext.bindtextdomain(DOMAIN, LOCALE)
    gettext.textdomain(DOMAIN)


def in_language(command: click.Command) -> click.Command:
    """``command`` with the texts of its help, its options and its own commands translated."""
    shown = copy.copy(command)
    shown.context_class = Context
    shown.help = command.help and _(command.help)
    shown.params = [_option(one) if isinstance(one, click.Option) else one for one in command.params]
    if isinstance(shown, click.Group):
        shown.commands = {name: in_language(one) for name, one in shown.commands.items()}
    return shown


def _option(option: click.Option) -> click.Option:
    shown = copy.copy(option)
    shown.help = option.help and _(option.help)
    return shown


class Formatter(click.HelpFormatter):
    """Wraps by columns of the screen, where click counts characters and breaks only at spaces."""

    def write_text(self, text: str) -> None:
        indent = " " * self.current_indent
        for number, paragraph in enumerate(text.split("\n\n")):
            if number:
                self.write("\n")
            for line in wrapped(paragraph, self.width - self.current_indent):
                self.write(f"{indent}{line}\n")

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = FIRST_COLUMN_MAX, col_spacing: int = 2
    ) -> None:
        found = list(rows)
        first = min(max((width(name) for name, _text in found), default=0), col_max) + col_spacing
        for name, text in found:
            for line in _definition(name, text, first, self.width - self.current_indent):
                self.write(f"{' ' * self.current_indent}{line}\n")


def _definition(name: str, text: str, first: int, columns: int) -> Iterator[str]:
    """``name`` and, from column ``first`` on, ``text``."""
    lines = list(wrapped(text, max(columns - first, 10)))
    if lines and width(name) <= first - 2:
        yield padded(name, first) + lines.pop(0)
    else:
        yield name
    yield from (" " * first + line for line in lines)


class Context(click.Context):
    formatter_class = Formatter
