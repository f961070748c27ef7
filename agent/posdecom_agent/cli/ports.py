"""``posdecom ports``: what could be a terminal. Opens nothing: a port that opens may reset what hangs on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from ..ports import PortInfo, candidates
from .output import Output, output_options, pass_output

HEADER = ("PORT", "USB ID", "SERIAL NUMBER", "USB PATH", "ACCESS", "DESCRIPTION")


@click.command("ports")
@output_options
@pass_output
def command(output: Output) -> None:
    """List this machine's serial ports, with what stays when a port's name changes: serial number and USB path."""
    found = candidates()
    if not found:
        output.say("no serial port found: check power and cable (some USB cables only charge)")
    output.result("ports", {"ports": [asdict(info) for info in found]}, _table(found))


def _table(found: Sequence[PortInfo]) -> str:
    if not found:
        return ""
    rows = [HEADER, *map(_cells, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _cells(info: PortInfo) -> tuple[str, ...]:
    usb_id = "-" if info.vid is None or info.pid is None else f"{info.vid:04x}:{info.pid:04x}"
    texts = (info.serial_number, info.location, "yes" if info.accessible else "no", info.description)
    return (info.device, usb_id, *(_printable(text or "-") for text in texts))


def _printable(text: str) -> str:
    """USB descriptors are the device's own words: no escape sequence of theirs reaches the screen."""
    return "".join(character if character.isprintable() else "?" for character in text)
