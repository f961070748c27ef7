"""``posdecom info``: who is on the line, in which state, and what it holds. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .output import Output, output_options, pass_output

if TYPE_CHECKING:
    from ..look import Look


@click.command(
    help="Ask the terminal on --port who it is, in which state, and what it holds. Changes nothing."
)
@click.option(
    "--port", "port_url", help="Serial device or pyserial URL (default: the only USB port there is)."
)
@click.option("--site", "site_folder", required=True, type=click.Path(path_type=Path, file_okay=False))
@output_options
@pass_output
def command(output: Output, port_url: str | None, site_folder: Path) -> None:
    from posdecom_protocol.stack import ChannelOver, LinkOver

    from .. import catalogue
    from ..line import WallClock, drive
    from ..look import Look
    from ..ports import open_port
    from ..site import TechnicianSite
    from ..stations import access_of
    from ..trouble import Trouble
    from .choice import only_port

    site, clock = TechnicianSite.load(site_folder), WallClock()
    access = access_of(site)
    url = port_url or only_port()
    port = open_port(url)
    try:
        look = Look(access, clock.now())
        drive(look, port, clock)
    finally:
        port.close()
    if look.welcome is None:
        raise Trouble(catalogue.NO_TERMINAL, port=url, cause="nothing answered the greeting")
    match look.cause:
        case LinkOver(reason):
            raise Trouble(catalogue.LINK_LOST, port=url, cause=reason.value)
        case ChannelOver(words):
            raise Trouble(catalogue.PEER_REFUSED, cause=words)
    output.result("info", _document(look), "\n".join(_text(look)))


def _document(look: Look) -> dict[str, object]:
    assert look.welcome is not None
    document: dict[str, object] = {
        "serial": look.welcome.serial,
        "manufacturer": look.welcome.manufacturer,
        "model": look.welcome.model,
        "state": look.welcome.state.name.lower(),
        "tampered": look.welcome.tampered,
        "authenticated": look.inventory is not None,
    }
    if look.refusal is not None:
        document["refusal"] = look.refusal.name.lower()
    if look.inventory is not None:
        slots = [asdict(slot) | {"kcv": slot.kcv.hex()} for slot in look.inventory.slots]
        contexts = [asdict(context) for context in look.inventory.contexts]
        document |= {"slots": slots, "contexts": contexts, "boot_count": look.inventory.boot_count}
    return document


def _text(look: Look) -> Iterator[str]:
    from ..refusals import REFUSALS

    assert look.welcome is not None
    tampered = ", TAMPERED" if look.welcome.tampered else ""
    yield f"terminal {look.welcome.serial} ({look.welcome.manufacturer} {look.welcome.model})"
    yield f"state    {look.welcome.state.name}{tampered}"
    if look.refusal is not None:
        yield f"does not say what it holds: {REFUSALS[look.refusal]}"
        return
    if look.inventory is None:
        yield "serves its proofs in the clear; it has no identity to authenticate with"
        return
    yield f"software {look.inventory.software_version}, started {look.inventory.boot_count} times"
    for slot in look.inventory.slots:
        yield f"key      {slot.slot:<22}{slot.usage:<4}{slot.algorithm:<10}{slot.kcv.hex() or 'empty'}"
    for context in look.inventory.contexts:
        yield (
            f"batch    {context.acquirer} {context.mid} {context.tid} currency {context.currency:03d} "
            f"batch {context.batch:06d}: {context.records} records, {context.unsent} not sent"
        )
