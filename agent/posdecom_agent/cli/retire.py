"""``posdecom retire``: the whole job, from the cable to the closed certificate. Run again, it continues."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .output import Output, output_options, pass_output

if TYPE_CHECKING:
    from posdecom_protocol.documents.order import Order

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(
    help="""Take the terminal on --port out of service under an acquirer's order.

    Reads out every stored transaction, settles it with the acquirer, has the terminal destroy its keys against the
    acquirer's receipt, and leaves certificate.posdecom and trust.pem in --out. IRREVERSIBLE once the terminal has
    the receipt. Can be stopped at any moment; the same command goes on."""
)
@click.option(
    "--port", "port_url", required=True, help="Serial device or pyserial URL (/dev/ttyUSB0, socket://...)."
)
@click.option("--site", "site_folder", required=True, type=_FOLDER, help="The technician's folder.")
@click.option("--order", "order_file", required=True, type=_FILE, help="The acquirer's order.")
@click.option("--host", "host_address", required=True, help="HOST:PORT of the acquirer's ISO 8583 host.")
@click.option("--desk", "desk_url", required=True, help="URL of the acquirer's release desk.")
@click.option(
    "--journal", "journal_folder", required=True, type=_FOLDER, help="Where the job is kept (mode 0700)."
)
@click.option("--out", "out_folder", required=True, type=_FOLDER, help="Where the certificate goes.")
@click.option(
    "--confirm-serial", help="The terminal's serial, typed on purpose. Asked for on a terminal if not given."
)
@click.option(
    "--reconnect-timeout",
    default=15.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Seconds to wait for a lost port.",
)
@output_options
@pass_output
def command(
    output: Output,
    port_url: str | None,
    site_folder: Path,
    order_file: Path,
    host_address: str,
    desk_url: str,
    journal_folder: Path,
    out_folder: Path,
    confirm_serial: str | None,
    reconnect_timeout: float,
) -> int:
    from posdecom_protocol.documents import authenticate, open_document
    from posdecom_protocol.documents.order import Order

    from ..desk import Desk
    from ..host import HostAddress
    from ..job import Job
    from ..line import WallClock
    from ..procedure import carry_out
    from ..site import TechnicianSite
    from ..stations import RealStations, SerialLine
    from . import finish
    from .choice import only_port
    from .progress import Teller

    try:
        address = HostAddress.parse(host_address)
    except ValueError as error:
        raise click.UsageError(f"--host: {error}") from error
    site = TechnicianSite.load(site_folder)
    order = open_document(order_file.read_bytes(), Order)
    authenticate(order, site.anchors, order.body.issued_at)
    _confirm(order.body, confirm_serial)
    clock = WallClock()
    site.check_dates(clock.now())
    journal = finish.open_journal(journal_folder, order)
    job = Job(journal)
    try:
        job.begin(order.data)
        teller = Teller(output, job, clock)
        line = SerialLine(port_url or only_port(), reconnect_timeout)
        stations = RealStations(site, line, address, Desk(desk_url), teller.watch, clock)
        carry_out(job, stations, teller.tell)
        return finish.deliver(output, job, site.anchors, out_folder)
    finally:
        journal.close()


def _plan(order: Order) -> str:
    """What is about to happen, before somebody has to confirm it."""
    accounts = ", ".join(f"{one.mid}/{one.tid}" for one in order.accounts)
    cutoff = datetime.fromtimestamp(order.cutoff_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"order    {order.order_id} of {order.issuer}\n"
        f"reason   {order.reason.name.lower().replace('_', ' ')}, mode {order.mode.name.lower()}\n"
        f"accounts {accounts}\n"
        f"cut-off  {cutoff}; sold after it: {order.after_cutoff.name.lower()}\n"
        f"This settles the batch and then destroys every key in terminal {order.serial}. It cannot be undone."
    )


def _confirm(order: Order, typed: str | None) -> None:
    """The person names the terminal; a wrong name, or nobody there to ask, changes nothing."""
    from .. import catalogue
    from ..trouble import Trouble

    serial = order.serial
    if typed is None and not sys.stdin.isatty():
        raise Trouble(catalogue.DECLINED, cause="nobody is there to type the terminal's serial")
    if typed is None:
        click.echo(_plan(order), err=True)
        typed = click.prompt("Type the terminal's serial to go on", err=True)
    if typed != serial:
        raise Trouble(
            catalogue.DECLINED, cause=f"the order names terminal {serial}, not the serial that was given"
        )
