"""What the commands that work on a job share: options, the confirmation, and opening what they are given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ..wording import N_, _
from .columns import padded
from .vocabulary import word

if TYPE_CHECKING:
    from posdecom_protocol.certificates import Anchors
    from posdecom_protocol.documents import Signed
    from posdecom_protocol.documents.order import Order

    from ..desk import Desk
    from ..host import HostAddress
    from ..job import Job

FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
FOLDER: Final = click.Path(path_type=Path, file_okay=False)
F = TypeVar("F", bound=Callable[..., Any])


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
            default=115_200,
            show_default=True,
            type=click.IntRange(50),
            help=N_("Speed of the serial port."),
        ),
        click.option(
            "--confirm-serial",
            help=N_("The terminal's serial, typed on purpose. Asked for on a terminal if not given."),
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
        click.option(
            "--port",
            "port_url",
            required=True,
            help=N_("Serial device or pyserial URL (/dev/ttyUSB0, socket://...)."),
        ),
    ):
        command = option(command)
    return command


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


def host_at(text: str | None) -> HostAddress | None:
    from ..host import HostAddress

    try:
        return None if text is None else HostAddress.parse(text)
    except ValueError as error:
        raise click.UsageError(_("--host: {error}", error=error)) from error


def desk_at(url: str | None) -> Desk | None:
    from ..desk import Desk

    try:
        return None if url is None else Desk(url)
    except ValueError as error:
        raise click.UsageError(_("--desk: {error}", error=error)) from error


def confirm(order: Order, typed: str | None, consequence: str) -> None:
    """The person names the terminal; a wrong name, or nobody there to ask, changes nothing."""
    from .. import catalogue
    from ..trouble import Trouble

    serial = order.serial
    if typed is None and not sys.stdin.isatty():
        raise Trouble(catalogue.DECLINED, cause=N_("nobody is there to type the terminal's serial"))
    if typed is None:
        click.echo(f"{_plan(order)}\n{_(consequence)}", err=True)
        typed = click.prompt(_("Type the terminal's serial to go on"), err=True)
    if typed != serial:
        raise Trouble(
            catalogue.DECLINED,
            cause=N_("the order names terminal {serial}, not the serial that was given", serial=serial),
        )


def _plan(order: Order) -> str:
    """What is about to happen, before somebody has to confirm it."""
    lines = (
        (_("order"), _("{name} of {issuer}", name=order.order_id, issuer=order.issuer)),
        (_("reason"), _("{reason}, mode {mode}", reason=word(order.reason), mode=word(order.mode))),
        (_("accounts"), ", ".join(f"{one.mid}/{one.tid}" for one in order.accounts)),
        (
            _("cut-off"),
            _("{time}; sold after it: {rule}", time=_utc(order.cutoff_at), rule=word(order.after_cutoff)),
        ),
    )
    return "\n".join(f"{padded(name, 9)}{text}" for name, text in lines)


def _utc(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")
