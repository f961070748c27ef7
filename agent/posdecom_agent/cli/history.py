"""``posdecom history`` and ``status``: what became of terminals, from the journals and certificates in folders.

Reads and changes nothing. A certificate's state is derived where ``--trust`` says whom to believe; without it what the
certificate states is shown as what it is: not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..wording import N_, _
from .columns import table
from .output import Output, output_options, pass_output
from .work import FILE

if TYPE_CHECKING:
    from posdecom_protocol.certificates import Anchors

FOLDERS = click.Path(path_type=Path, exists=True, file_okay=False)
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Record:
    """One file's word about one terminal."""

    at: int
    """Seconds since 1970: when the order or the certificate was issued; 0 where the file cannot be read."""
    serial: str
    text: str
    state: str | None
    """Of a certificate, as `verify --json` names it; None for a job, and where it cannot be read."""
    judged: bool
    file: Path


def _options(command: F) -> F:
    for option in (
        click.option(
            "--trust", type=FILE, help=N_("PEM bundle of trusted anchors; without it nothing is judged.")
        ),
        click.argument("folders", nargs=-1, required=True, type=FOLDERS, metavar="FOLDER..."),
    ):
        command = option(command)
    return command


@click.command(
    "history",
    help=N_(
        "List every journal and certificate in FOLDER and below: which terminal, when, what became of it."
    ),
)
@_options
@output_options
@pass_output
def command(output: Output, folders: tuple[Path, ...], trust: Path | None) -> None:
    _print(output, "history", _records(folders, trust))


@click.command(
    "status",
    help=N_(
        "Say what is known of the terminal --serial from the journals and certificates in FOLDER and below."
    ),
)
@click.option("--serial", required=True, help=N_("The terminal's serial."))
@_options
@output_options
@pass_output
def status(output: Output, serial: str, folders: tuple[Path, ...], trust: Path | None) -> None:
    from .. import catalogue
    from ..trouble import Trouble

    found = [one for one in _records(folders, trust) if one.serial == serial]
    if not found:
        raise Trouble(
            catalogue.NOTHING_TO_DO, cause=N_("no file there names terminal {serial}", serial=serial)
        )
    _print(output, "status", found)


def _print(output: Output, name: str, records: Sequence[Record]) -> None:
    header = [_("WHEN"), _("TERMINAL"), _("WHAT BECAME OF IT"), _("FILE")]
    rows = [header, *([_day(one.at), one.serial, one.text, str(one.file)] for one in records)]
    output.result(name, {"records": [_document(one) for one in records]}, table(rows) if records else "")
    if not records:
        output.say(_("no journal and no certificate there"))


def _document(one: Record) -> dict[str, object]:
    return {
        "at": one.at,
        "serial": one.serial,
        "state": one.state,
        "judged": one.judged,
        "text": one.text,
        "file": str(one.file),
    }


def _day(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d") if at else "-"


# ---- reading


def _records(folders: Sequence[Path], trust: Path | None) -> list[Record]:
    """Oldest first."""
    from .work import read_trust

    anchors = None if trust is None else read_trust(trust)
    files = {
        path
        for folder in folders
        for ending in ("journal", "posdecom")
        for path in folder.rglob(f"*.{ending}")
    }
    found = (record for path in sorted(files) for record in _read(path, anchors))
    return sorted(found, key=lambda one: (one.at, str(one.file)))


def _read(path: Path, anchors: Anchors | None) -> Iterator[Record]:
    """What a file says; a file that cannot be read is listed with its reason, and does not hide the others."""
    from posdecom_protocol.errors import PosdecomError

    from ..trouble import Trouble, trouble_from

    try:
        if path.suffix == ".journal":
            yield _job(path)
        elif path.name != "custody.posdecom":
            yield _certificate(path, anchors)
    except (PosdecomError, Trouble, OSError) as error:
        trouble = trouble_from(error)
        yield Record(0, "-", f"{trouble.message}: {trouble.cause}", None, False, path)


def _job(path: Path) -> Record:
    from .jobs import describe
    from .work import open_job

    with open_job(path) as job:
        order, found = job.order.body, describe(job, path).document
        text = _("order {order}: waits for {what}", order=order.order_id, what=_(str(found["waits_for"])))
        if found["next_step"] == "done":
            text = _("order {order}: closed by the acquirer", order=order.order_id)
        return Record(order.issued_at, order.serial, text, None, False, path)


def _certificate(path: Path, anchors: Anchors | None) -> Record:
    from posdecom_protocol.documents import open_document
    from posdecom_protocol.documents.certificate import Certificate
    from posdecom_protocol.verdict import FILE_BYTES_MAX, judge, split

    from .findings import WORDS

    with path.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    body = open_document(split(data)[0], Certificate).body
    state = body.stated if anchors is None else judge(data, anchors).state
    text = (
        _(WORDS[state]) if anchors is not None else _("{state} as it states, not judged", state=WORDS[state])
    )
    return Record(body.issued_at, body.serial, text, state.name.lower(), anchors is not None, path)
