"""What the commands that work on a job share: options, the confirmation, and opening what they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ..wording import N_, _
from . import PROGRAM

if TYPE_CHECKING:
    from posdecom_protocol.certificates import Anchors
    from posdecom_protocol.documents import Signed
    from posdecom_protocol.documents.order import Order

    from ..desk import Desk
    from ..host import HostAddress
    from ..job import Job

FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
NEW_FILE: Final = click.Path(path_type=Path, dir_okay=False)
FOLDER: Final = click.Path(path_type=Path, file_okay=False)
F = TypeVar("F", bound=Callable[..., Any])


def _speeds(context: click.Context, option: click.Parameter, text: str) -> tuple[int, int]:
    """FIRST or FIRST:MOST."""
    first, colon, most = text.partition(":")
    most = most if colon else first
    if not (first.isdecimal() and most.isdecimal() and 50 <= int(first) <= int(most)):
        raise click.BadParameter(f"{text} is not FIRST or FIRST:MOST", param=option)
    return int(first), int(most)


def terminal_options(command: F) -> F:
    """The cable, the technician, the order, and the folder where the job is kept."""
    for option in (
        click.option(
            "--reconnect-timeout",
            default=15.0,
            show_default=True,
            type=click.FloatRange(0),
            help=N_("Seconds to wait for a lost port."),
        ),
        click.option(
            "--baud",
            default="115200:3000000",
            show_default=True,
            callback=_speeds,
            help=N_("Speed of the port; with a second one it is raised as far as terminal and cable can."),
        ),
        click.option(
            "--confirm-serial",
            help=N_("The terminal's serial, typed on purpose. Asked for on a terminal if not given."),
        ),
        click.option(
            "--plan-hash",
            help=N_("Go on only while the plan is this one, as posdecom plan printed it."),
        ),
        click.option(
            "--journal",
            "journal_folder",
            required=True,
            type=FOLDER,
            help=N_("Where the job is kept (mode 0700)."),
        ),
        click.option("--order", "order_file", required=True, type=FILE, help=N_("The acquirer's order.")),
        click.option(
            "--site", "site_folder", required=True, type=FOLDER, help=N_("The technician's folder.")
        ),
    ):
        command = option(command)
    return port_options(command)


def port_options(command: F) -> F:
    """Where the terminal hangs; with neither, it is the only known adapter on this machine."""
    for option in (
        click.option(
            "--capture",
            type=NEW_FILE,
            expose_value=False,
            callback=_capture,
            help=N_("Write what goes over the line to this file, for Wireshark (pcapng), without contents."),
        ),
        click.option(
            "--select",
            help=N_("Instead of --port: the terminal's serial, the adapter's serial, or its USB path."),
        ),
        click.option(
            "--port",
            "port_url",
            help=N_("Serial device or pyserial URL (/dev/ttyUSB0, socket://...). Found if not given."),
        ),
    ):
        command = option(command)
    return command


def _capture(context: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    if path is not None and not context.resilient_parsing:
        context.with_resource(_captured(path))


@contextmanager
def _captured(path: Path) -> Iterator[None]:
    """Every line of this command is written to ``path``; what could not be written is said at the end."""
    from ..capture import open_capture
    from ..line import CAPTURE

    try:
        capture = open_capture(path, PROGRAM)
    except OSError as error:
        raise click.BadParameter(str(error), param_hint="--capture") from error
    token = CAPTURE.set(capture)
    try:
        yield
    finally:
        CAPTURE.reset(token)
        capture.close()
        if capture.failed is not None:
            click.echo(_("the capture is not whole: {error}", error=str(capture.failed)), err=True)


def journal_option(command: F) -> F:
    """One job, by the file that `posdecom jobs` lists."""
    option = click.option(
        "--journal", "journal_file", required=True, type=FILE, help=N_("The job's journal.")
    )
    return option(command)


def read_order(order_file: Path, anchors: Anchors) -> Signed[Order]:
    """The order, if somebody that the technician trusts has signed it."""
    from posdecom_protocol.documents import authenticate, open_document
    from posdecom_protocol.documents.order import Order

    order = open_document(order_file.read_bytes(), Order)
    authenticate(order, anchors, order.body.issued_at)
    return order


def require_erase(order: Order) -> None:
    """`click.UsageError` where the order is to flush and settle only: no receipt under it would release an erase."""
    from posdecom_protocol.documents.order import Action

    if Action.ERASE not in order.actions:
        raise click.UsageError(_("the order allows no erase: see posdecom flush and posdecom settle"))


def read_trust(trust: Path) -> Anchors:
    """The anchors in a PEM bundle. A bundle that is none was typed wrong, and says nothing about any document."""
    from posdecom_protocol.certificates import load_anchors
    from posdecom_protocol.errors import DocumentError

    try:
        return load_anchors(trust.read_bytes())
    except DocumentError as error:
        raise click.BadParameter(str(error), param_hint="--trust") from error


@contextmanager
def open_job(journal_file: Path) -> Iterator[Job]:
    """The job in a journal that is there; closed at the end."""
    from .. import catalogue
    from ..job import Job
    from ..journal import SqliteJournal
    from ..purge import is_interrupted
    from ..trouble import Trouble

    if is_interrupted(journal_file):
        raise Trouble(catalogue.PURGE_CUT, file=str(journal_file))
    journal = SqliteJournal.open(journal_file)
    try:
        yield Job(journal)
    finally:
        journal.close()


def host_at(text: str | None, ca_file: Path | None = None) -> HostAddress | None:
    """``ca_file`` vouches for a host behind TLS."""
    from ..host import HostAddress

    try:
        return None if text is None else HostAddress.parse(text, ca_file)
    except ValueError as error:
        raise click.UsageError(_("--host: {error}", error=error)) from error


def desk_at(url: str | None) -> Desk | None:
    from ..desk import Desk

    try:
        return None if url is None else Desk(url)
    except ValueError as error:
        raise click.UsageError(_("--desk: {error}", error=error)) from error
