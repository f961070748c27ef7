"""Where a job lies on disk, and what it leaves behind when it is done."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from posdecom_protocol.certificates import Anchors
from posdecom_protocol.documents import Signed
from posdecom_protocol.documents.order import Order
from posdecom_protocol.verdict import Verdict, judge

from ..catalogue import Exit
from ..job import Job
from ..journal import SqliteJournal
from .findings import EXITS, verdict_document, verdict_text
from .output import Output

CERTIFICATE_FILE: Final = "certificate.posdecom"
TRUST_FILE: Final = "trust.pem"


def open_journal(folder: Path, order: Signed[Order]) -> SqliteJournal:
    """The job's own file: one for each order."""
    return SqliteJournal.open(folder / f"{order.body.serial}-{order.digest.hex()[:12]}.journal")


def deliver(output: Output, job: Job, anchors: Anchors, folder: Path) -> Exit:
    """Write certificate and trust anchors, judge the written file as anybody would, and say what came out."""
    assert job.certificate is not None
    folder.mkdir(parents=True, exist_ok=True)
    certificate = folder / CERTIFICATE_FILE
    write_whole(certificate, job.certificate + (job.closure or b""))
    write_whole(folder / TRUST_FILE, anchors.pem())
    verdict: Verdict = judge(certificate.read_bytes(), anchors)
    files = {"certificate": str(certificate), "trust": str(folder / TRUST_FILE)}
    text = f"{verdict_text(verdict)}\n\ncertificate  {certificate}\ntrust        {folder / TRUST_FILE}"
    output.result("retire", {**verdict_document(verdict), "files": files}, text)
    return EXITS[verdict.state]


def write_whole(path: Path, data: bytes) -> None:
    """All of ``data`` or the file that was there before; durable on return."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
