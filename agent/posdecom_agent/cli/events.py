"""``--events FILE``: what happens, for programs, as NDJSON: one JSON object a line, written at once. docs/events.md.

Events tell about a run; they are no record of a job (that is its journal). A file that cannot be written is a usage
error at the start; later it ends the telling and never the job.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from datetime import UTC, datetime

import click

SCHEMA = "posdecom/events/1"


class Events:
    """Open until the process ends. ``path`` may be a file, a FIFO, or ``/dev/fd/N``."""

    def __init__(self, path: str) -> None:
        try:
            self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: PTH123, SIM115 (lives as long as the process)
        except OSError as error:
            raise click.BadParameter(f"{path}: {error.strerror}", param_hint="--events") from error
        self._common: dict[str, object] = {"run_id": uuid.uuid4().hex}
        self._started_s = time.monotonic()

    def about(self, serial: str) -> None:
        """Every event from here on is about this terminal."""
        self._common["serial"] = serial

    def emit(self, event: str, **fields: object) -> None:
        elapsed_s = time.monotonic() - self._started_s
        line = {
            "schema": SCHEMA,
            "event": event,
            **self._common,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "elapsed_s": round(elapsed_s, 3),
            **fields,
        }
        with contextlib.suppress(OSError):  # a reader that is gone is no reason to stop a job
            self._file.write(json.dumps(line) + "\n")

    def end(self, exit_code: int) -> None:
        """The last line, and the file closed."""
        self.emit("end", exit=exit_code)
        with contextlib.suppress(OSError):
            self._file.close()
