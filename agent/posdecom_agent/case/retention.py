"""Until when a job's data is to be kept: the date that the case states, as its certificate carries it."""

from __future__ import annotations

from datetime import UTC, datetime

from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.certificate import Certificate, Standing

from ..job import Job
from .points import RETENTION_KEY


def retained_until(job: Job) -> int | None:
    """Seconds since 1970 at which that day begins (UTC); None where the newest certificate states none."""
    if job.certificate is None:
        return None
    for point in open_document(job.certificate, Certificate).body.case:
        if point.point == RETENTION_KEY and point.standing is Standing.STATED:
            return _day(point.text)
    return None


def _day(text: str) -> int | None:
    """A certificate that another tool made may say it in other words; those bind nobody here."""
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None
