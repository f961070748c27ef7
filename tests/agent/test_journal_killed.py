"""A writer process dies at any point: what it acknowledged is there, and nothing is there by half."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from posdecom_agent.journal import Row, SqliteJournal

WRITER = """
import os, sys
from pathlib import Path
from posdecom_agent.journal import Row, SqliteJournal
journal = SqliteJournal.open(Path(sys.argv[1]))
kill_after_steps = int(sys.argv[2])
if kill_after_steps:
    journal._connection.set_progress_handler(lambda: os.kill(os.getpid(), 9), kill_after_steps)
n = 0
while True:
    journal.append([Row("item", n, b"%d" % n * 300), Row("twin", n, b"")])
    os.write(1, b".")
    n += 1
"""


def writer(tmp_path: Path, steps: int = 0) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "journal"), str(steps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)


def require_prefix(tmp_path: Path, acknowledged: int) -> None:
    """At most the append that was under way may have come through unheard, and never half of it."""
    journal = SqliteJournal.open(tmp_path / "journal")
    rows = list(journal.rows())
    journal.close()
    assert acknowledged <= len(rows) / 2 <= acknowledged + 1
    expected = [(Row("item", n, b"%d" % n * 300), Row("twin", n, b"")) for n in range(len(rows) // 2)]
    assert rows == [row for pair in expected for row in pair]


@pytest.mark.parametrize("acknowledged", [1, 2, 40, 900])
def test_a_writer_killed_from_outside_keeps_every_acknowledged_row(tmp_path: Path, acknowledged: int) -> None:
    with writer(tmp_path) as process:
        assert process.stdout is not None
        seen = 0
        while seen < acknowledged:
            seen += len(process.stdout.read(1))
        process.send_signal(signal.SIGKILL)
        seen += len(process.stdout.read())
    require_prefix(tmp_path, seen)


@pytest.mark.parametrize("steps", [1, 5, 17, 40, 61, 333])
def test_a_writer_that_dies_inside_a_statement_keeps_every_acknowledged_row(
    tmp_path: Path, steps: int
) -> None:
    with writer(tmp_path, steps) as process:
        assert process.stdout is not None
        acknowledged = len(process.stdout.read())
    assert process.returncode == -signal.SIGKILL
    require_prefix(tmp_path, acknowledged)
