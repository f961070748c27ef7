"""``posdecom retire``: the whole job, from the cable to the closed certificate. Run again, it continues."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..wording import N_
from .output import Output, output_options, pass_output
from .papers import asked_papers, paper_options
from .work import FILE, FOLDER, terminal_options

if TYPE_CHECKING:
    from posdecom_protocol.certificates import Anchors
    from posdecom_protocol.documents import Signed
    from posdecom_protocol.documents.order import Order

    from ..job import Job
    from ..line import Clock
    from ..site import TechnicianSite


CONSEQUENCE: Final = N_("This destroys every key in the terminal. It cannot be undone.")


@click.command(
    help=N_("""Take the terminal on the cable out of service under an acquirer's order.

    Reads out every stored transaction, settles it with the acquirer, has the terminal destroy its keys against the
    acquirer's receipt, and leaves certificate.posdecom and trust.pem in --out. IRREVERSIBLE once the terminal has
    the receipt. Can be stopped at any moment; the same command goes on.

    Without a network give the acquirer's receipt as a file (two files where it needs two signatures); without --desk
    the certificate stays open until the same command runs with one, or with the closure as a file. Where the order
    names the terminal that takes over, nothing is erased before that one was met on --replacement-port.""")
)
@terminal_options
@click.option(
    "--host",
    "host_address",
    help=N_("HOST:PORT of the acquirer's ISO 8583 host; tls://HOST:PORT where it speaks TLS."),
)
@click.option("--desk", "desk_url", help=N_("URL of the acquirer's release desk."))
@click.option(
    "--receipt",
    "receipt_files",
    multiple=True,
    type=FILE,
    help=N_("A receipt that came as a file; at most two."),
)
@click.option(
    "--closure", "closure_file", type=FILE, help=N_("The acquirer's closure, where it came as a file.")
)
@click.option(
    "--replacement-port",
    "replacement_url",
    help=N_("Where the terminal hangs that takes over, where the order names one."),
)
@click.option("--out", "out_folder", required=True, type=FOLDER, help=N_("Where the certificate goes."))
@paper_options
@output_options
@pass_output
def command(
    output: Output,
    port_url: str | None,
    select: str | None,
    site_folder: Path,
    order_file: Path,
    host_address: str | None,
    desk_url: str | None,
    receipt_files: tuple[Path, ...],
    closure_file: Path | None,
    replacement_url: str | None,
    journal_folder: Path,
    out_folder: Path,
    confirm_serial: str | None,
    plan_hash: str | None,
    reconnect_timeout: float,
    baud: tuple[int, int],
) -> int:
    from ..procedure import Step, carry_out
    from ..site import HOST_CA_FILE
    from ..stations import JudgedDesk, RealStations
    from . import finish, work
    from .absence import Absence, retire_absent
    from .confirmation import Cable, Given, confirmed_line
    from .progress import Teller

    address, desk = work.host_at(host_address, site_folder / HOST_CA_FILE), work.desk_at(desk_url)
    site, order, clock = _opened(site_folder, order_file)
    judged = None if desk is None else JudgedDesk(desk, site.anchors)
    if asked_papers().is_absent:
        return retire_absent(output, Absence(site, order, judged, journal_folder, out_folder), confirm_serial)
    work.require_erase(order.body)
    cable, given = Cable(port_url, select, reconnect_timeout, baud), Given(confirm_serial, plan_hash)
    line = confirmed_line(output, site, order, journal_folder, cable, given, CONSEQUENCE)
    other = None if replacement_url is None else cable.line(replacement_url)
    with begun(output, journal_folder, order) as job:
        teller = Teller(output, job, clock)
        stations = RealStations(address, judged, teller.watch, clock, site=site, line=line, replacement=other)
        _bring(job, receipt_files, closure_file, site.anchors)
        carry_out(job, stations, teller.tell, Step.CERTIFY if desk is None else Step.CLOSE)
        return finish.deliver(output, job, site.anchors, out_folder)


def _opened(site_folder: Path, order_file: Path) -> tuple[TechnicianSite, Signed[Order], Clock]:
    """Who works, and under which order; both judged."""
    from ..line import WallClock
    from ..site import TechnicianSite
    from .work import read_order

    site, clock = TechnicianSite.load(site_folder), WallClock()
    order = read_order(order_file, site.anchors)
    site.check_dates(clock.now())
    return site, order, clock


@contextmanager
def begun(output: Output, folder: Path, order: Signed[Order]) -> Iterator[Job]:
    """The job under ``order``, with the case that was handed in."""
    from ..job import Job
    from . import finish

    with closing(finish.open_journal(folder, order)) as journal:
        job = Job(journal)
        job.begin(order.data)
        asked_papers().hand_in(output, job)
        yield job


def _bring(job: Job, receipts: tuple[Path, ...], closure: Path | None, anchors: Anchors) -> None:
    """What came as files; judged before it is kept."""
    from ..courier import bring_closure, bring_receipts

    bring_receipts(job, [path.read_bytes() for path in receipts], anchors)
    if closure is not None:
        bring_closure(job, closure.read_bytes(), anchors)
