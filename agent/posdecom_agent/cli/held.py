"""``posdecom held``: money for people to follow, what they state about it, and a certificate that says so."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..wording import N_, _
from .acquirer import parse_time
from .output import Output, output_options, pass_output
from .work import FOLDER, desk_at, journal_option, open_job

if TYPE_CHECKING:
    from posdecom_protocol.held import HeldItem
    from posdecom_protocol.money import Tally

    from ..job import Job

_WHAT = ("withheld", "sold-late", "refund")
_MEANS = ("charged-again", "returned", "agreed")


@click.group(
    "held", help=N_("""Money to be followed until it is closed: withheld, sold after the cut-off, refunds.""")
)
def command() -> None:
    pass


@command.command(
    "list", help=N_("""List what the receipt holds, what was stated about it, and what is open.""")
)
@journal_option
@output_options
@pass_output
def list_held(output: Output, journal_file: Path) -> None:
    with open_job(journal_file) as job:
        _show(output, job)


@command.command(
    "close",
    help=N_(
        """State what was done about held money. It changes no state; held certify puts it into a certificate."""
    ),
)
@journal_option
@click.option("--what", required=True, type=click.Choice(_WHAT), help=N_("What it is about."))
@click.option("--context", required=True, type=click.IntRange(0), help=N_("As held list shows it."))
@click.option("--count", required=True, type=click.IntRange(1), help=N_("How many transactions this closes."))
@click.option("--amount", required=True, type=click.IntRange(0), help=N_("Their sum in minor units."))
@click.option("--means", required=True, type=click.Choice(_MEANS), help=N_("What was done."))
@click.option("--by", required=True, help=N_("Who says so."))
@click.option("--reference", required=True, help=N_("Where it can be looked up."))
@click.option("--on", "stated_at", callback=parse_time, help=N_("When it was said (default: now)."))
@click.option("--agreed-for", callback=parse_time, help=N_("The date agreed with the customer."))
@output_options
@pass_output
def close(
    output: Output,
    journal_file: Path,
    what: str,
    context: int,
    count: int,
    amount: int,
    means: str,
    by: str,
    reference: str,
    stated_at: int | None,
    agreed_for: int | None,
) -> None:
    from posdecom_protocol.documents.remedy import Held, Means, Remedy
    from posdecom_protocol.errors import DocumentError
    from posdecom_protocol.money import Tally

    remedy = Remedy(
        held=Held[what.upper().replace("-", "_")],
        context=context,
        tally=Tally(count, amount),
        means=Means[means.upper().replace("-", "_")],
        by=by,
        stated_at=int(time.time()) if stated_at is None else stated_at,
        reference=reference,
        agreed_for=agreed_for,
    )
    with open_job(journal_file) as job:
        try:
            job.keep_remedy(remedy)
        except DocumentError as error:
            raise click.UsageError(_("this cannot be stated: {error}", error=str(error))) from error
        _show(output, job)


@command.command(
    "certify",
    help=N_("""Make the certificate that supersedes the job's newest, with all that was stated since; have it closed.

    The acquirer counts the refunds that are open again. Needs no terminal."""),
)
@journal_option
@click.option("--site", "site_folder", required=True, type=FOLDER, help=N_("The technician's folder."))
@click.option("--desk", "desk_url", help=N_("URL of the acquirer's release desk."))
@click.option("--out", "out_folder", required=True, type=FOLDER, help=N_("Where the certificate goes."))
@output_options
@pass_output
def certify(
    output: Output, journal_file: Path, site_folder: Path, desk_url: str | None, out_folder: Path
) -> int:
    from ..line import WallClock
    from ..procedure import Step
    from ..site import TechnicianSite
    from ..stations import JudgedDesk, OfficeStations
    from ..supersede import certify_again
    from . import finish
    from .progress import Teller

    site, clock, desk = TechnicianSite.load(site_folder), WallClock(), desk_at(desk_url)
    site.check_dates(clock.now())
    judged = None if desk is None else JudgedDesk(desk, site.anchors)
    with open_job(journal_file) as job:
        teller = Teller(output, job, clock)
        stations = OfficeStations(None, judged, teller.watch, clock, site=site)
        certify_again(job, stations, teller.tell, Step.CERTIFY if desk is None else Step.CLOSE)
        return finish.deliver(output, job, site.anchors, out_folder, "held-certify")


def _show(output: Output, job: Job) -> None:
    from posdecom_protocol.documents import open_document
    from posdecom_protocol.documents.receipt import Receipt
    from posdecom_protocol.held import held_items

    receipt = open_document(job.receipts[0], Receipt).body if job.receipts else None
    items = () if receipt is None else held_items(receipt, job.remedies)
    text = "\n".join(_line(item) for item in items) or _("nothing is held")
    output.result("held", {"held": [_document(item) for item in items], "refunds_open": _refunds(job)}, text)


def _refunds(job: Job) -> int | None:
    from posdecom_protocol.documents import open_document
    from posdecom_protocol.documents.closure import Closure

    return None if job.closure is None else open_document(job.closure, Closure).body.refunds_open


def _line(item: HeldItem) -> str:
    return _(
        "context {context}, currency {currency}: {what} {count} ({amount}), open {open_count} ({open_amount})",
        context=item.context,
        currency=f"{item.currency:03d}",
        what=item.held.name.lower().replace("_", "-"),
        count=item.listed.count,
        amount=item.listed.amount,
        open_count=item.open.count,
        open_amount=item.open.amount,
    )


def _document(item: HeldItem) -> dict[str, object]:
    return {
        "what": item.held.name.lower(),
        "context": item.context,
        "currency": item.currency,
        "listed": _tally(item.listed),
        "open": _tally(item.open),
        "remedies": [
            {
                "means": one.means.name.lower(),
                **_tally(one.tally),
                "by": one.by,
                "stated_at": one.stated_at,
                "reference": one.reference,
                "agreed_for": one.agreed_for,
            }
            for one in item.remedies
        ],
    }


def _tally(tally: Tally) -> dict[str, int]:
    return {"count": tally.count, "amount": tally.amount}
