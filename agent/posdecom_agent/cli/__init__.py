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
from ..wording import N_, _
from .help import in_language, let_click_speak
from .output import Output, language_option

if TYPE_CHECKING:
    from ..trouble import Trouble

PROGRAM: Final = "posdecom"

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    # name: module below this package, help in one line
    "ports": (".ports", N_("List this machine's serial ports.")),
    "doctor": (".doctor", N_("Say what keeps this machine from a terminal.")),
    "info": (".info", N_("Ask a terminal who it is and in which state.")),
    "plan": (".plan", N_("Show what a retirement would do; do nothing.")),
    "retire": (".retire", N_("Take a terminal out of service, or continue to.")),
    "flush": (".flush", N_("Bring transactions into custody, without a network.")),
    "settle": (".settle", N_("Settle what is in custody, later, from the journal.")),
    "jobs": (".jobs", N_("List jobs and what each waits for.")),
    "history": (".history", N_("List what became of terminals, from files.")),
    "status": (".status", N_("Say what is known of one terminal, from files.")),
    "transactions": (".transactions", N_("List a job's transactions, masked, with totals.")),
    "held": (".held", N_("Money to be followed until it is closed.")),
    "purge": (".purge", N_("Destroy a closed job's transactions here.")),
    "thaw": (".thaw", N_("Let a frozen terminal trade again.")),
    "case": (".case", N_("The paperwork: make it, check it, have it witnessed.")),
    "checklist": (".checklist", N_("List what is proved, stated by a person, or open.")),
    "view": (".view", N_("Show a certificate as a PDF or as JSON.")),
    "verify": (".verify", N_("Check a certificate and say what it proves.")),
    "explain": (".explain", N_("Show what is inside a signed document.")),
    "order": (".order", N_("The acquirer's tool: make and sign an order.")),
    "receipt": (".receipt", N_("The acquirer's tool: sign a receipt over a seal.")),
    "closure": (".closure", N_("The acquirer's tool: sign the closure of a certificate.")),
    "demo": (".demo", N_("Retire a simulated terminal, start to end.")),
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
        return in_language(found)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(_("Commands")):
            formatter.write_dl([(name, _(text)) for name, (_module, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=N_("""Take a card terminal out of service: settle its money, destroy its keys, prove both.

    Any command can be stopped at any moment and run again: it continues where it stopped.
    """),
)
@language_option
@click.version_option(package_name="posdecom", message="%(prog)s %(version)s")
def posdecom() -> None:
    pass


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line ``argv`` (default: the process's) and exit with its code."""
    output = Output()
    arguments = sys.argv[1:] if argv is None else argv
    wording.speak(wording.chosen(arguments, os.environ))
    let_click_speak()
    try:
        result = in_language(posdecom).main(argv, prog_name=PROGRAM, obj=output, standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:  # the last stop before the technician's screen
        if os.environ.get("POSDECOM_DEBUG"):
            raise
        trouble = _trouble(error, arguments)
        output.fail(trouble)
        result = int(trouble.exit)
    code = result if isinstance(result, int) else 0
    if output.events is not None:
        output.events.end(code)
    sys.exit(code)


def _trouble(error: BaseException, arguments: Sequence[str]) -> Trouble:
    """Translate click's exceptions here, all others where they are known. Imports late: ``--help`` needs none of it."""
    import shlex

    from .. import catalogue
    from ..trouble import Trouble, trouble_from

    again = N_(
        "type {command} again: it continues where it stopped", command=shlex.join((PROGRAM, *arguments))
    )
    match error:
        case KeyboardInterrupt():
            return Trouble(catalogue.INTERRUPTED, next=again)
        case click.Abort():
            # click turns Ctrl-C and an end of input at a question into the same exception
            if isinstance(error.__context__, KeyboardInterrupt):
                return Trouble(catalogue.INTERRUPTED, next=again)
            return Trouble(catalogue.DECLINED, cause=N_("the question was not answered with yes"))
        case click.ClickException():
            context = getattr(error, "ctx", None)
            command = context.command_path if context else PROGRAM
            return Trouble(catalogue.USAGE, message=error.format_message(), command=command)
        case _:
            return trouble_from(error)
