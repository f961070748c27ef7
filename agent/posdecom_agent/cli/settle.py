"""``posdecom settle``: from the journal alone, later and elsewhere: the host's conversation and the desk's receipt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..wording import N_, _
from . import work
from .output import Output, output_options, pass_output
from .work import FILE, journal_option

if TYPE_CHECKING:
    from ..desk import Desk
    from ..job import Job
    from ..stations import JudgedDesk

ITEMS_SHOWN_MAX: Final = 10


@click.command(
    help=N_("""Settle what is in custody: carry it to the acquirer's host, and get the desk's receipt.

    Needs the journal and a network, no terminal. The receipt stays in the journal; with --receipt-out it is also left
    as a file for a laptop that goes to the terminal. posdecom retire goes on from here. What comes from --desk is
    judged by --trust, before it is kept.

    Without --desk, what the host refused ends with exit code 21: the desk has the last word on it.""")
)
@journal_option
@click.option(
    "--host",
    "host_address",
    required=True,
    help=N_("HOST:PORT of the acquirer's ISO 8583 host; tls://HOST:PORT where it speaks TLS."),
)
@click.option(
    "--host-ca", "ca_file", type=FILE, help=N_("PEM of the CA for a tls:// host (host_ca.pem of a --site).")
)
@click.option("--desk", "desk_url", help=N_("URL of the acquirer's release desk; without it no receipt."))
@click.option(
    "--trust", type=FILE, help=N_("PEM bundle of the acquirers' anchors (anchors.pem of a --site).")
)
@click.option(
    "--receipt-out",
    "receipt_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help=N_("Where receipt-1.cose (and receipt-2.cose) go."),
)
@output_options
@pass_output
def command(
    output: Output,
    journal_file: Path,
    host_address: str,
    ca_file: Path | None,
    desk_url: str | None,
    trust: Path | None,
    receipt_folder: Path | None,
) -> int:
    from ..catalogue import Exit
    from ..courier import require_custody
    from ..line import WallClock
    from ..procedure import Step, carry_out
    from ..stations import AcquirerStations
    from . import finish
    from .jobs import describe
    from .progress import Teller

    clock = WallClock()
    address, desk = work.host_at(host_address, ca_file), _judged_desk(work.desk_at(desk_url), trust)
    with work.open_job(journal_file) as job:
        require_custody(job)
        teller = Teller(output, job, clock)
        stations = AcquirerStations(address, desk, teller.watch, clock)
        carry_out(job, stations, teller.tell, Step.SETTLE if desk is None else Step.AGREE)
        files = finish.leave_receipts(job, receipt_folder) if receipt_folder is not None else {}
        one, refused = describe(job, journal_file), _refused(job)
        text = "\n".join(filter(None, (one.text, _refused_text(refused), finish.file_list(files))))
        output.result("settle", {**one.document, "files": files, "refused": refused}, text)
        return Exit.MISMATCH if refused and not job.receipts else Exit.DONE


def _refused(job: Job) -> list[dict[str, object]]:
    """What the host will not have: item sequence and code, as the journal has it."""
    from ..dialects import Refused

    outcomes = sorted(job.outcomes().items())
    return [{"item": one, "code": said.code} for one, said in outcomes if isinstance(said, Refused)]


def _refused_text(refused: list[dict[str, object]]) -> str:
    if not refused:
        return ""
    items = ", ".join(f"{one['item']} ({one['code']})" for one in refused[:ITEMS_SHOWN_MAX])
    more = " ..." if len(refused) > ITEMS_SHOWN_MAX else ""
    return _("  refused by the host, for the release desk to judge: items {items}", items=items + more)


def _judged_desk(desk: Desk | None, trust: Path | None) -> JudgedDesk | None:
    from ..stations import JudgedDesk

    if desk is None:
        return None
    if trust is None:
        raise click.UsageError(_("--desk needs --trust: the anchors that its signatures are judged by"))
    return JudgedDesk(desk, work.read_trust(trust))
