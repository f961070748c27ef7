"""``posdecom ports``: what could be a terminal. Opens nothing: a port that opens may reset what hangs on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from ..ports import PortInfo, candidates
from ..wording import N_, _
from .columns import table
from .output import Output, output_options, pass_output

HEADER = (N_("PORT"), N_("USB ID"), N_("SERIAL NUMBER"), N_("USB PATH"), N_("ACCESS"), N_("DESCRIPTION"))


@click.command(
    "ports",
    help=N_(
        """List this machine's serial ports, with what stays when a port's name changes: serial number and USB path."""
    ),
)
@output_options
@pass_output
def command(output: Output) -> None:
    found = candidates()
    if not found:
        output.say(_("no serial port found: check power and cable (some USB cables only charge)"))
    output.result("ports", {"ports": [asdict(info) for info in found]}, port_table(found))


def port_table(found: Sequence[PortInfo]) -> str:
    return table([[_(title) for title in HEADER], *map(_cells, found)]) if found else ""


def _cells(info: PortInfo) -> tuple[str, ...]:
    usb_id = "-" if info.vid is None or info.pid is None else f"{info.vid:04x}:{info.pid:04x}"
    texts = (info.serial_number, info.location, _("yes") if info.accessible else _("no"), info.description)
    return (info.device, usb_id, *(_printable(text or "-") for text in texts))


def _printable(text: str) -> str:
    """USB descriptors are the device's own words: no escape sequence of theirs reaches the screen."""
    return "".join(character if character.isprintable() else "?" for character in text)
