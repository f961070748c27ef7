"""``posdecom info``: who is on the line, in which state, and what it holds. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..case.money import currency_name
from ..wording import N_, _
from .columns import padded
from .output import Output, output_options, pass_output
from .vocabulary import word
from .work import FOLDER, port_options

if TYPE_CHECKING:
    from posdecom_protocol.messages import Inventory

    from ..look import Look


@click.command(
    help=N_("Ask the terminal on --port who it is, in which state, and what it holds. Changes nothing.")
)
@port_options
@click.option("--site", "site_folder", required=True, type=FOLDER, help=N_("The technician's folder."))
@output_options
@pass_output
def command(output: Output, port_url: str | None, select: str | None, site_folder: Path) -> None:
    from ..line import WallClock
    from ..serial_line import SerialLine
    from ..site import TechnicianSite
    from ..survey import access_of, look_at
    from .choice import find_port

    site = TechnicianSite.load(site_folder)
    look = look_at(SerialLine(find_port(output, port_url, select)), access_of(site), WallClock())
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
    welcome = look.welcome
    yield _(
        "terminal {serial} ({maker} {model})",
        serial=welcome.serial,
        maker=welcome.manufacturer,
        model=welcome.model,
    )
    state = word(welcome.state).upper()
    yield _row(_("state"), _("{state}, TAMPERED", state=state) if welcome.tampered else state)
    if look.refusal is not None:
        yield _("does not say what it holds: {reason}", reason=REFUSALS[look.refusal])
    elif look.inventory is None:
        yield _("serves its proofs in the clear; it has no identity to authenticate with")
    else:
        yield from _holdings(look.inventory)


def _holdings(inventory: Inventory) -> Iterator[str]:
    version, count = inventory.software_version, inventory.boot_count
    yield _row(_("software"), _("{version}, started {count} times", version=version, count=count))
    for slot in inventory.slots:
        kcv = slot.kcv.hex() or _("empty")
        yield _row(_("key"), f"{slot.slot:<22}{slot.usage:<4}{slot.algorithm:<10}{kcv}")
    for context in inventory.contexts:
        yield _row(
            _("batch"),
            _(
                "{acquirer} {mid} {tid} currency {currency} batch {batch:06d}: "
                "{records} records, {unsent} not sent",
                acquirer=context.acquirer,
                mid=context.mid,
                tid=context.tid,
                currency=currency_name(context.currency),
                batch=context.batch,
                records=context.records,
                unsent=context.unsent,
            ),
        )


def _row(name: str, text: str) -> str:
    return f"{padded(name, 9)}{text}"
