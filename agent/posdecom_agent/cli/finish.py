"""Where a job lies on disk, and what it leaves behind when it is done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from posdecom_protocol.certificates import Anchors
from posdecom_protocol.custody import encode_custody, encode_salvage
from posdecom_protocol.documents import Signed
from posdecom_protocol.documents.order import Order

from .. import catalogue
from ..catalogue import Exit
from ..job import Job
from ..journal import SqliteJournal
from ..procedure import Step, next_step
from ..purge import is_interrupted
from ..trouble import Trouble
from ..view import open_view
from ..wording import _
from .columns import padded
from .findings import EXITS, verdict_document, verdict_text
from .output import Output
from .papers import asked_papers, leave_pdf, run_hook

CERTIFICATE_FILE: Final = "certificate.posdecom"
TRUST_FILE: Final = "trust.pem"
SALVAGE_FILE: Final = "salvage.posdecom"
_CARRIED: Final = {"order": ".cose", "seal": ".cose", "custody": ".posdecom"}


def journal_file(folder: Path, order: Signed[Order]) -> Path:
    """The job's own file: one for each order."""
    return folder / f"{order.body.serial}-{order.digest.hex()[:12]}.journal"


def open_journal(folder: Path, order: Signed[Order]) -> SqliteJournal:
    return _opened(journal_file(folder, order))


def _opened(path: Path) -> SqliteJournal:
    """`Trouble` where a purge was cut: what lies there is to be destroyed, and nothing may be added to it."""
    if is_interrupted(path):
        raise Trouble(catalogue.PURGE_CUT, file=str(path))
    return SqliteJournal.open(path)


@dataclass(frozen=True, slots=True)
class SoFar:
    """How far the job of an order is, as its journal says; nothing of it where there is no journal yet."""

    has_seal: bool = False
    needs_terminal: bool = True


def so_far(folder: Path, order: Signed[Order]) -> SoFar:
    path = journal_file(folder, order)
    if not path.exists():
        return SoFar()
    with closing(_opened(path)) as journal:
        job = Job(journal)
        if journal.find("order", 0) is None:
            return SoFar()
        without = (Step.CERTIFY, Step.CLOSE, Step.DONE)
        return SoFar(job.seal is not None, next_step(job) not in without)


def carry_away(job: Job, folder: Path) -> dict[str, str]:
    """What the acquirer needs, as files: order, seal, and the desk's whole post. Names and paths."""
    assert job.seal is not None
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "order.cose", job.order.data)
    write_whole(folder / "seal.cose", job.seal.data)
    custody = encode_custody(job.order.data, job.seal.data, job.items())
    write_pieces(folder / "custody.posdecom", custody, private=True)
    return {name: str(folder / f"{name}{end}") for name, end in _CARRIED.items()}


def leave_receipts(job: Job, folder: Path) -> dict[str, str]:
    """The receipts as files. Names and paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for number, receipt in enumerate(job.receipts, 1):
        name = f"receipt-{number}"
        write_whole(folder / f"{name}.cose", receipt)
        files[name] = str(folder / f"{name}.cose")
    return files


def deliver(output: Output, job: Job, anchors: Anchors, folder: Path, command: str = "retire") -> Exit:
    """Write certificate and trust anchors, judge the written file as anybody would, and say what came out."""
    assert job.certificate is not None
    folder.mkdir(parents=True, exist_ok=True)
    certificate = folder / _certificate_file(job.certificates)
    write_whole(certificate, job.certificate + (job.closure or b""))
    write_whole(folder / TRUST_FILE, anchors.pem())
    view = open_view(certificate, anchors)
    files = {
        "certificate": str(certificate),
        "trust": str(folder / TRUST_FILE),
        **_leave_salvage(job, folder),
    }
    pdf = leave_pdf(output, view, certificate.with_suffix(".pdf"))
    if pdf is not None:
        files["pdf"] = str(pdf)
    text = f"{verdict_text(view.verdict)}\n\n{file_list(files)}"
    output.result(command, {**verdict_document(view.verdict), "files": files}, text)
    run_hook(output, asked_papers(), view, files)
    return EXITS[view.verdict.state]


def _leave_salvage(job: Job, folder: Path) -> dict[str, str]:
    """The records of a tampered terminal, as the desk takes them, where no desk has closed the case."""
    if job.closure is not None or not job.salvage_is_over:
        return {}
    path = folder / SALVAGE_FILE
    write_pieces(path, encode_salvage(job.order.data, job.salvaged_messages()), private=True)
    return {"salvage": str(path)}


def _certificate_file(number: int) -> str:
    """One that supersedes another lies beside it: both are needed to check that."""
    return CERTIFICATE_FILE if number == 1 else f"certificate-{number}.posdecom"


def file_list(files: Mapping[str, str]) -> str:
    """What was left where, a line each."""
    return "\n".join(f"{padded(_(name), 13)}{path}" for name, path in files.items())


def write_whole(path: Path, data: bytes) -> None:
    """All of ``data`` or the file that was there before; durable on return."""
    write_pieces(path, (data,))


def write_pieces(path: Path, pieces: Iterable[bytes], *, private: bool = False) -> None:
    """As `write_whole`, without holding all of it. ``private``: for its owner alone, as the journal is."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)  # what lies there is a leftover, or somebody's link to another file
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        error.filename = str(path)  # the name that somebody asked for
        raise


def _sync_folder(folder: Path) -> None:
    """Make the name durable too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
