"""Jobs of real processes, captured with ``--capture`` and read by Wireshark with our dissector."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from posdecom_agent.catalogue import Exit
from real_parts import SERIAL, RealParts

DISSECTOR = Path(__file__).parents[2] / "protocol" / "wireshark" / "posdecom.lua"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed"),
]


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[RealParts]:
    with RealParts(tmp_path, transactions=10) as real:
        real.start_acquirer()
        real.wait_for_terminal(real.start_terminal())
        real.write_order()
        yield real


def shown(capture: Path, display_filter: str, *fields: str) -> list[list[str]]:
    names = [part for name in fields for part in ("-e", name)]
    command = [
        "tshark",
        "-X",
        f"lua_script:{DISSECTOR}",
        "-r",
        str(capture),
        "-Y",
        display_filter,
        "-T",
        "json",
        *names,
    ]
    packets = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return [[packet["_source"]["layers"][name][0] for name in fields] for packet in packets]


def look(parts: RealParts, capture: Path) -> subprocess.CompletedProcess[str]:
    site = parts.site / "technician"
    return parts.run(["posdecom_agent", "info", "--port", parts.tty, "--site", site, "--capture", capture])


def test_a_whole_job_can_be_followed_message_by_message(parts: RealParts) -> None:
    capture = parts.folder / "job.pcapng"
    done = parts.run([
        "posdecom_agent", "retire", "--port", parts.tty, "--site", parts.site / "technician",
        "--order", parts.order_file, "--host", parts.host, "--desk", parts.desk, "--journal", parts.journal,
        "--out", parts.out, "--confirm-serial", SERIAL, "--capture", capture,
    ])  # fmt: skip
    assert done.returncode == Exit.DONE, done.stderr
    assert shown(capture, "posdecom.serial", "posdecom.serial")[0] == [SERIAL]
    types = [int(one, 0) for (one,) in shown(capture, "posdecom_message", "posdecom_message.type")]
    told = [one for at, one in enumerate(types) if at == 0 or one != types[at - 1]]
    sealed, released, erasing = told.index(0x83), told.index(0x85), told.index(0x86)
    assert sealed < released < erasing < len(told) - 1, "then its proofs"
    assert not shown(capture, "posdecom.crc.status == 0", "posdecom.kind")


def test_a_tampered_terminal_is_seen_in_its_first_word(parts: RealParts) -> None:
    terminal = parts.processes[-1]
    terminal.kill()
    terminal.wait()
    struck = parts.run(["posdecom_simulator", "tamper", "--state", parts.folder / "terminal"])
    assert struck.returncode == 0, struck.stderr
    parts.wait_for_terminal(parts.start_terminal())
    capture = parts.folder / "look.pcapng"
    look(parts, capture)
    assert {one for (one,) in shown(capture, "posdecom.tampered", "posdecom.tampered")} == {"1"}


def test_a_capture_is_never_written_over_a_file_that_is_there(parts: RealParts) -> None:
    there = parts.folder / "notes"
    there.write_text("mine")
    done = look(parts, there)
    assert done.returncode == Exit.USAGE
    assert there.read_text() == "mine"
