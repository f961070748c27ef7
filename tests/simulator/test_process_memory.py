"""A terminal's process leaves no core dump behind, whatever becomes of it, and neither does the image after it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
import os, resource, sys
from posdecom_simulator.terminal.process_memory import protect
locked = protect()
tell = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE), open('/proc/self/coredump_filter').read())"
if locked:
    print([line for line in open('/proc/self/status') if line.startswith('VmLck')], flush=True)
os.execv(sys.executable, [sys.executable, '-c', tell])
"""


@pytest.mark.skipif(
    not Path("/proc/self/coredump_filter").exists(), reason="the system has no core dump filter"
)
def test_core_dumps_are_off_and_stay_off_in_the_image_that_follows() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    *locked, told = done.stdout.split("\n")[:-2]
    assert told == "(0, 0) 00000000"
    for line in locked:
        assert "VmLck:" in line and " 0 kB" not in line


def test_a_process_that_is_aborted_leaves_no_core(tmp_path: Path) -> None:
    script = (
        "import os; from posdecom_simulator.terminal.process_memory import protect; protect(); os.abort()"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == -signal.SIGABRT
    assert not list(tmp_path.iterdir())
