"""The command line ``posdecom``: a table of commands, each imported only when it is called, and one place for failure.

A command is a module in this package with a click command named ``command``. It returns an `Exit` (or None for success)
and raises whatever goes wrong; `main` turns that into three lines on stderr and an exit code. No traceback reaches a
technician; with ``POSDECOM_DEBUG=1`` in the environment it reaches a developer.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from .. import wording
from .output import Output, language_option

if TYPE_CHECKING:
    from ..trouble import Trouble

PROGRAM: Final = "posdecom"

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    # name: module below this package, help in one line
    "ports": (".ports", "List this machine's serial ports."),
    "info": (".info", "Ask a terminal who it is and in which state."),
    "retire": (".retire", "Take a terminal out of service, or continue to."),
    "flush": (".flush", "Bring transactions into custody, without a network."),
    "settle": (".settle", "Settle what is in custody, later, from the journal."),
    "jobs": (".jobs", "List jobs and what each waits for."),
    "transactions": (".transactions", "List a job's transactions, masked, with totals."),
    "purge": (".purge", "Destroy a closed job's transactions here."),
    "thaw": (".thaw", "Let a frozen terminal trade again."),
    "verify": (".verify", "Check a certificate and say what it proves."),
    "explain": (".explain", "Show what is inside a signed document."),
    "order": (".order", "The acquirer's tool: make and sign an order."),
    "receipt": (".receipt", "The acquirer's tool: sign a receipt over a seal."),
    "closure": (".closure", "The acquirer's tool: sign the closure of a certificate."),
    "demo": (".demo", "Retire a simulated terminal, start to end."),
}


class LazyGroup(click.Group):
    """Lists commands from the table; imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found = importlib.import_module(COMMANDS[cmd_name][0], __name__).command
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@language_option
@click.version_option(package_name="posdecom", message="%(prog)s %(version)s")
def posdecom() -> None:
    """Take a card terminal out of service: settle its money, destroy its keys, prove both.

    Any command can be stopped at any moment and run again: it continues where it stopped.
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line ``argv`` (default: the process's) and exit with its code."""
    output = Output()
    wording.speak(wording.chosen(sys.argv[1:] if argv is None else argv, os.environ))
    try:
        result = posdecom.main(argv, prog_name=PROGRAM, obj=output, standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:  # the last stop before the technician's screen
        if os.environ.get("POSDECOM_DEBUG"):
            raise
        trouble = _trouble(error)
        output.fail(trouble)
        sys.exit(trouble.exit)
    sys.exit(result if isinstance(result, int) else 0)


def _trouble(error: BaseException) -> Trouble:
    """Translate click's exceptions here, all others where they are known. Imports late: ``--help`` needs none of it."""
    from .. import catalogue
    from ..trouble import Trouble, trouble_from

    match error:
        case click.Abort():
            # click turns Ctrl-C and an end of input at a question into the same exception
            if isinstance(error.__context__, KeyboardInterrupt):
                return Trouble(catalogue.INTERRUPTED)
            return Trouble(catalogue.DECLINED, cause="the question was not answered with yes")
        case click.ClickException():
            context = getattr(error, "ctx", None)
            command = context.command_path if context else PROGRAM
            return Trouble(catalogue.USAGE, message=error.format_message(), command=command)
        case _:
            return trouble_from(error)
