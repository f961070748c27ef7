"""The command line ``posdecom-sim``: a table of commands, each imported only when it is called.

A command is a module in ``commands/`` with a click command named ``command``.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Final

import click

from posdecom_protocol.errors import PosdecomError

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    # name: module below this package (the world lies beside it: it joins the agent too), help in one line
    "provision": (".commands.provision", "Make a site: authorities, an acquirer, a terminal with sales."),
    "terminal": (".commands.terminal", "Run a terminal on a PTY, on TCP or on a serial port."),
    "acquirer": (".commands.acquirer", "Run the acquirer: ISO 8583 host and release desk."),
    "line": (".commands.line", "Join two pseudo-terminals by a serial line, good or bad."),
    "memory": (".commands.memory", "Show a terminal's memory: copies, spare blocks, wear."),
    "bind": (".commands.bind", "The maker: hand a blank terminal to its next owner."),
    "load": (".commands.load", "Load a blank terminal with its next owner's keys."),
    "tamper": (".commands.tamper", "Trip a terminal's tamper circuit."),
    "forensics": (".commands.forensics", "Search a terminal's memory for every key that it ever held."),
    "world": ("posdecom_world.command", "Whole decommissions in virtual time, with faults, from seeds."),
}

EXTRAS: Final = {"apsw": "world"}
"""Packages that only an extra of the distribution brings, by their module."""


class LazyGroup(click.Group):
    """Lists commands from the table; imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        try:
            found = importlib.import_module(COMMANDS[cmd_name][0], __package__).command
        except ModuleNotFoundError as error:
            if error.name not in EXTRAS:
                raise
            hint = f"pip install 'posdecom[{EXTRAS[error.name]}]'"
            raise click.ClickException(f"this needs the package {error.name}: {hint}") from error
        assert isinstance(found, click.Command)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """An error that a module names is told in one line, with exit code 1."""
        try:
            return super().invoke(ctx)
        except PosdecomError as error:
            raise click.ClickException(str(error)) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="posdecom", message="%(prog)s %(version)s")
def simulator() -> None:
    """A software terminal and a software acquirer, for tests and demonstrations. Never for real keys."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line ``argv`` (default: the process's) and exit with its code."""
    simulator.main(argv, prog_name="posdecom-sim")
