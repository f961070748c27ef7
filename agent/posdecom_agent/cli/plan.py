"""``posdecom plan``: what a retirement would do to the terminal on its cable. Sends nothing that changes anything."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..wording import N_
from .output import Output, output_options, pass_output
from .work import FILE, FOLDER, port_options

if TYPE_CHECKING:
    from posdecom_protocol.documents import Signed
    from posdecom_protocol.documents.order import Order

    from ..approach import Access
    from ..line import Clock
    from ..plan import Plan
    from ..serial_line import SerialLine


@click.command(
    help=N_("""Show what posdecom retire would do under --order, and do nothing.

    Asks the terminal who it is and what it holds, through an authenticated channel. The hash on the last line stands
    for order, terminal, state and every batch with its counts: posdecom retire --plan-hash goes on only while it is
    the same.""")
)
@port_options
@click.option("--site", "site_folder", required=True, type=FOLDER, help=N_("The technician's folder."))
@click.option("--order", "order_file", required=True, type=FILE, help=N_("The acquirer's order."))
@output_options
@pass_output
def command(
    output: Output, port_url: str | None, select: str | None, site_folder: Path, order_file: Path
) -> None:
    from ..line import WallClock
    from ..serial_line import SerialLine
    from ..site import TechnicianSite
    from ..survey import access_of
    from .choice import find_port
    from .confirmation import plan_lines
    from .work import read_order

    site, clock = TechnicianSite.load(site_folder), WallClock()
    site.check_dates(clock.now())
    order = read_order(order_file, site.anchors)
    plan = make_plan(order, SerialLine(find_port(output, port_url, select)), access_of(site), clock)
    output.result("plan", _document(plan), "\n".join(plan_lines(plan)))


def make_plan(order: Signed[Order], line: SerialLine, access: Access, clock: Clock) -> Plan:
    """Look at the terminal. `Trouble` where another one hangs there, or where it does not say what it holds."""
    from .. import catalogue
    from ..plan import Plan
    from ..refusals import REFUSALS
    from ..survey import look_at
    from ..trouble import Trouble

    look = look_at(line, access, clock)
    assert look.welcome is not None
    if look.welcome.serial != order.body.serial:
        found, expected = look.welcome.serial, order.body.serial
        raise Trouble(catalogue.WRONG_TERMINAL, port=line.url, found=found, expected=expected)
    if look.refusal is not None:
        raise Trouble(catalogue.ORDER_REFUSED, cause=REFUSALS[look.refusal])
    return Plan.of(order, look.welcome, look.inventory)


def _document(plan: Plan) -> dict[str, object]:
    order = plan.order.body
    return {
        "plan_hash": plan.digest(),
        "serial": plan.serial,
        "state": plan.state.name.lower(),
        "tampered": plan.tampered,
        "order": order.order_id,
        "order_sha256": plan.order.digest.hex(),
        "mode": order.mode.name.lower(),
        "contexts": [asdict(context) for context in plan.contexts],
        "slots": [asdict(slot) | {"kcv": slot.kcv.hex()} for slot in plan.slots],
    }
