"""``posdecom retire``: the whole job, from the cable to the closed certificate. Run again, it continues."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from ..wording import N_
from .output import Output, output_options, pass_output
from .work import FILE, FOLDER, terminal_options


@click.command(
    help=N_("""Take the terminal on --port out of service under an acquirer's order.

    Reads out every stored transaction, settles it with the acquirer, has the terminal destroy its keys against the
    acquirer's receipt, and leaves certificate.posdecom and trust.pem in --out. IRREVERSIBLE once the terminal has
    the receipt. Can be stopped at any moment; the same command goes on.

    Without a network give the acquirer's receipt as a file (two files where it needs two signatures); without --desk
    the certificate stays open until the same command runs with one.""")
)
@terminal_options
@click.option("--host", "host_address", help=N_("HOST:PORT of the acquirer's ISO 8583 host."))
@click.option("--desk", "desk_url", help=N_("URL of the acquirer's release desk."))
@click.option(
    "--receipt",
    "receipt_files",
    multiple=True,
    type=FILE,
    help=N_("A receipt that came as a file; at most two."),
)
@click.option("--out", "out_folder", required=True, type=FOLDER, help=N_("Where the certificate goes."))
@output_options
@pass_output
def command(
    output: Output,
    port_url: str,
    site_folder: Path,
    order_file: Path,
    host_address: str | None,
    desk_url: str | None,
    receipt_files: tuple[Path, ...],
    journal_folder: Path,
    out_folder: Path,
    confirm_serial: str | None,
    reconnect_timeout: float,
    baud: int,
) -> int:
    from ..courier import bring_receipts
    from ..job import Job
    from ..line import WallClock
    from ..procedure import Step, carry_out
    from ..site import TechnicianSite
    from ..stations import JudgedDesk, RealStations, SerialLine
    from . import finish, work
    from .progress import Teller

    address, desk = work.host_at(host_address), work.desk_at(desk_url)
    site = TechnicianSite.load(site_folder)
    order = work.read_order(order_file, site.anchors)
    work.require_erase(order.body)
    work.confirm(
        order.body, confirm_serial, N_("This destroys every key in the terminal. It cannot be undone.")
    )
    clock = WallClock()
    site.check_dates(clock.now())
    with closing(finish.open_journal(journal_folder, order)) as journal:
        job = Job(journal)
        job.begin(order.data)
        teller = Teller(output, job, clock)
        line = SerialLine(port_url, reconnect_timeout, baud)
        judged = None if desk is None else JudgedDesk(desk, site.anchors)
        stations = RealStations(address, judged, teller.watch, clock, site=site, line=line)
        bring_receipts(job, [path.read_bytes() for path in receipt_files], site.anchors)
        carry_out(job, stations, teller.tell, Step.CERTIFY if desk is None else Step.CLOSE)
        return finish.deliver(output, job, site.anchors, out_folder)
