"""The confirmation before a terminal is frozen: plan shown, serial typed, terminal looked at again, plans compared.

Nothing here changes anything at the terminal. Who is not there to type gives ``--confirm-serial``, and binds it to a
plan with ``--plan-hash`` if wanted. A job that has its seal was confirmed before: it only continues.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from .. import catalogue
from ..case.money import currency_name
from ..trouble import Trouble
from ..wording import N_, _
from .columns import padded
from .vocabulary import word

if TYPE_CHECKING:
    from pathlib import Path

    from posdecom_protocol.documents import Signed
    from posdecom_protocol.documents.order import Order

    from ..plan import Plan
    from ..serial_line import SerialLine
    from ..site import TechnicianSite
    from .output import Output

MakePlan = Callable[[], "Plan"]
"""Looks at the terminal, each time anew."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says about it."""

    serial: str | None
    plan_hash: str | None


@dataclass(frozen=True, slots=True)
class Cable:
    """Where the terminal hangs, as the command line says it."""

    port_url: str | None
    select: str | None
    reopen_s: float
    baud: tuple[int, int]
    """At first, and at most."""

    def line(self, url: str) -> SerialLine:
        """The line at ``url``, with the same speeds and patience."""
        from ..serial_line import SerialLine

        return SerialLine(url, self.reopen_s, *self.baud)


def confirmed_line(
    output: Output,
    site: TechnicianSite,
    order: Signed[Order],
    journal_folder: Path,
    cable: Cable,
    given: Given,
    consequence: str,
) -> SerialLine:
    """Find the port, where the job still needs the terminal, and have the job confirmed."""
    from ..line import WallClock
    from ..survey import access_of
    from .choice import find_port
    from .finish import so_far
    from .plan import make_plan

    known, clock = so_far(journal_folder, order), WallClock()
    url = find_port(output, cable.port_url, cable.select) if known.needs_terminal else cable.port_url or ""
    line = cable.line(url)
    confirm(
        order.body,
        given,
        consequence,
        lambda: make_plan(order, line, access_of(site), clock),
        begun=known.has_seal,
    )
    return line


def confirm(order: Order, given: Given, consequence: str, make_plan: MakePlan, *, begun: bool) -> None:
    """The person names the terminal; a wrong name, or nobody there to ask, is a `Trouble` and changes nothing.

    ``begun``: the job has the terminal's seal, and only goes on.
    """
    typed, plan_hash = given.serial, given.plan_hash
    if typed is None and not sys.stdin.isatty():
        raise Trouble(catalogue.DECLINED, cause=N_("nobody is there to type the terminal's serial"))
    shown = None if begun or typed is not None else make_plan()
    if typed is None:
        lines = order_lines(order) if shown is None else plan_lines(shown)
        click.echo("\n".join((*lines, _(consequence))), err=True)
        typed = click.prompt(_("Type the terminal's serial to go on"), err=True)
    if typed != order.serial:
        cause = N_("the order names terminal {serial}, not the serial that was given", serial=order.serial)
        raise Trouble(catalogue.DECLINED, cause=cause)
    planned = plan_hash if shown is None else plan_hash or shown.digest()
    if planned is not None and not begun and (found := make_plan().digest()) != planned.lower():
        raise Trouble(catalogue.PLAN_CHANGED, planned=planned, found=found)


def plan_lines(plan: Plan) -> Iterator[str]:
    """The plan for people: what is ordered, what the terminal holds, what becomes of it."""
    state = word(plan.state).upper()
    yield row(_("terminal"), plan.serial)
    yield row(_("state"), _("{state}, TAMPERED", state=state) if plan.tampered else state)
    yield from order_lines(plan.order.body)
    for one in plan.contexts:
        counts = _(
            "{records} records to settle, {unsent} not sent yet", records=one.records, unsent=one.unsent
        )
        name = _(
            "{tid} batch {batch:06d}, currency {currency}",
            tid=one.tid,
            batch=one.batch,
            currency=currency_name(one.currency),
        )
        yield row(_("batch"), _("{where}: {reason}", where=name, reason=counts))
    if plan.slots:
        yield row(_("keys"), _("{count} key slots to be erased", count=len(plan.slots)))
    yield row(_("plan"), plan.digest())


def order_lines(order: Order) -> Iterator[str]:
    yield row(_("order"), _("{name} of {issuer}", name=order.order_id, issuer=order.issuer))
    yield row(_("reason"), _("{reason}, mode {mode}", reason=word(order.reason), mode=word(order.mode)))
    yield row(_("accounts"), ", ".join(f"{one.mid}/{one.tid}" for one in order.accounts))
    cutoff = datetime.fromtimestamp(order.cutoff_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    yield row(_("cut-off"), _("{time}; sold after it: {rule}", time=cutoff, rule=word(order.after_cutoff)))


def row(name: str, text: str) -> str:
    return f"{padded(name, 9)}{text}"
