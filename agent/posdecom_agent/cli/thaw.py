"""``posdecom thaw``: a frozen terminal trades again, because the acquirer says so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..wording import N_, _
from .output import Output, output_options, pass_output
from .work import FILE, FOLDER

if TYPE_CHECKING:
    from ..thaw import Thaw
    from ..trouble import Trouble


@click.command(
    help=N_("""Bring the acquirer's cancellation to the frozen terminal on --port. It trades again with what the
    cancellation leaves it, and every receipt over its seal is dead: a later retirement needs a new order.""")
)
@click.option("--port", "port_url", required=True, help=N_("Serial device or pyserial URL."))
@click.option("--site", "site_folder", required=True, type=FOLDER, help=N_("The technician's folder."))
@click.option(
    "--cancellation", "cancellation_file", required=True, type=FILE, help=N_("As the acquirer signed it.")
)
@output_options
@pass_output
def command(output: Output, port_url: str, site_folder: Path, cancellation_file: Path) -> None:
    from posdecom_protocol.documents import authenticate, open_document
    from posdecom_protocol.documents.cancellation import Cancellation

    from ..line import WallClock, drive
    from ..ports import open_port
    from ..site import TechnicianSite
    from ..survey import access_of
    from ..thaw import Thaw

    site, clock = TechnicianSite.load(site_folder), WallClock()
    site.check_dates(clock.now())
    cancellation = open_document(cancellation_file.read_bytes(), Cancellation)
    authenticate(cancellation, site.anchors, at=None)
    serial = cancellation.body.serial
    port = open_port(port_url)
    try:
        thaw = Thaw(cancellation.data, serial, access_of(site), clock.now())
        drive(thaw, port, clock)
    finally:
        port.close()
    if not thaw.is_thawed:
        raise _trouble(thaw, port_url, serial)
    output.result("thaw", {"serial": serial}, _("terminal {serial} trades again", serial=serial))


def _trouble(thaw: Thaw, port: str, serial: str) -> Trouble:
    from posdecom_protocol.stack import ChannelOver

    from .. import catalogue
    from ..procedure import ENDS
    from ..refusals import REFUSALS
    from ..trouble import Trouble

    if thaw.stranger is not None:
        return Trouble(catalogue.WRONG_TERMINAL, port=port, found=thaw.stranger, expected=serial)
    if thaw.refusal is not None:
        return Trouble(catalogue.CANCELLATION_REFUSED, cause=REFUSALS[thaw.refusal])
    if isinstance(thaw.cause, ChannelOver):
        return Trouble(catalogue.PEER_REFUSED, cause=thaw.cause.reason)
    assert thaw.cause is not None
    return Trouble(catalogue.NO_TERMINAL, port=port, cause=ENDS[thaw.cause.reason])
