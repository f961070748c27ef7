"""What a technician meets when something is wrong: three lines, an exit code, and a job that can be run again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from posdecom_agent.catalogue import Exit
from real_parts import SERIAL, RealParts


def trading(folder: Path) -> Iterator[RealParts]:
    with RealParts(folder, transactions=10) as real:
        real.start_acquirer()
        real.wait_for_terminal(real.start_terminal())
        real.write_order()
        yield real


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[RealParts]:
    """An acquirer and a trading terminal."""
    yield from trading(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealParts]:
    """The same, for tests after which the terminal trades on: each of them says so."""
    yield from trading(tmp_path_factory.mktemp("shared"))


def assert_three_lines(stderr: str, code: str) -> None:
    """The last three lines tell what happened, why, and what to try; nothing looks like a traceback."""
    what, cause, advice = stderr.rstrip("\n").splitlines()[-3:]
    assert what.startswith(f"error[{code}]: ")
    assert cause.startswith("cause: ")
    assert advice.startswith("try: ")
    assert "Traceback" not in stderr


def state_of(parts: RealParts) -> str:
    looked = parts.run(["posdecom_agent", "info", "--port", parts.tty, "--site", parts.site / "technician"])
    return looked.stdout.splitlines()[1].split()[1]


def test_a_port_that_is_not_there_is_named(shared: RealParts) -> None:
    done = shared.retire(port=str(shared.folder / "ttyUSB7"))
    assert done.returncode == Exit.NO_TERMINAL
    assert_three_lines(done.stderr, "PD-E22")


@pytest.mark.long
def test_a_port_that_another_program_holds_is_called_busy(parts: RealParts) -> None:
    with serial.Serial(str(parts.tty), exclusive=True):
        done = parts.retire()
    assert done.returncode == Exit.BUSY
    assert_three_lines(done.stderr, "PD-E23")
    assert parts.retire().returncode == Exit.DONE


def test_a_wrong_serial_changes_nothing(shared: RealParts) -> None:
    jobs_before = list(shared.journal.glob("*"))
    done = shared.retire(confirm="PD-000002")
    assert done.returncode == Exit.DECLINED
    assert_three_lines(done.stderr, "PD-E03")
    assert state_of(shared) == "ACTIVE"
    assert list(shared.journal.glob("*")) == jobs_before


def test_an_operator_who_is_not_there_declines(shared: RealParts) -> None:
    arguments = [
        "posdecom_agent", "retire", "--port", shared.tty, "--site", shared.site / "technician", "--order",
        shared.order_file, "--host", shared.host, "--desk", shared.desk, "--journal", shared.journal,
        "--out", shared.out,
    ]  # fmt: skip
    done = shared.run(arguments)
    assert done.returncode == Exit.DECLINED
    assert_three_lines(done.stderr, "PD-E03")
    assert state_of(shared) == "ACTIVE"


def test_an_order_for_another_terminal_touches_none(shared: RealParts) -> None:
    shared.write_order(serial="PD-000002")
    done = shared.retire(confirm="PD-000002")
    assert done.returncode == Exit.NO_TERMINAL
    assert_three_lines(done.stderr, "PD-E28")
    assert state_of(shared) == "ACTIVE"


def test_an_expired_order_is_refused_by_the_terminal(parts: RealParts) -> None:
    parts.write_order(valid_s=60, age_s=120)
    done = parts.retire()
    assert done.returncode == Exit.ERASE_REFUSED
    assert_three_lines(done.stderr, "PD-E62")
    assert state_of(parts) == "ACTIVE"
    parts.write_order(counter=2)
    assert parts.retire().returncode == Exit.DONE


def test_a_host_that_is_down_leaves_a_job_that_goes_on_later(parts: RealParts) -> None:
    acquirer = parts.processes[0]
    acquirer.kill()
    acquirer.wait()
    done = parts.retire()
    assert done.returncode == Exit.FLUSH_INCOMPLETE
    assert_three_lines(done.stderr, "PD-E51")
    assert state_of(parts) == "FROZEN"
    parts.start_acquirer()
    assert parts.retire().returncode == Exit.DONE


@pytest.mark.long
def test_a_desk_that_is_down_leaves_a_job_that_goes_on_later(parts: RealParts) -> None:
    desk, parts.desk = parts.desk, "http://127.0.0.1:1"
    done = parts.retire()
    assert done.returncode == Exit.FLUSH_INCOMPLETE
    assert_three_lines(done.stderr, "PD-E51")
    assert state_of(parts) == "FROZEN"
    parts.desk = desk
    assert parts.retire().returncode == Exit.DONE


def test_a_terminal_unplugged_in_mid_flush_is_waited_for_then_named(tmp_path: Path) -> None:
    with RealParts(tmp_path, transactions=100) as other:
        other.start_acquirer()
        other.write_order()
        unplugged = other.start_terminal("line", "FROZEN", "3", "before")
        other.wait_for_terminal(unplugged)
        done = other.retire(reconnect_s=0.2)
        assert done.returncode in (Exit.NO_TERMINAL, Exit.LINK_LOST)
        assert done.stderr.count("\ncause: ") == 1
        other.wait_for_terminal(other.start_terminal())
        assert other.retire().returncode == Exit.DONE


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit to limit the size of files")
def test_a_disk_that_is_full_is_said_and_the_job_goes_on_with_space(parts: RealParts) -> None:
    full = parts.retire(file_bytes_max=64 * 1024)
    assert full.returncode == Exit.STORAGE
    assert_three_lines(full.stderr, "PD-E31")
    assert parts.retire().returncode == Exit.DONE


@pytest.mark.long
def test_a_finished_job_run_again_says_the_same(parts: RealParts) -> None:
    first = parts.retire()
    again = parts.retire()
    assert first.returncode == again.returncode == Exit.DONE
    assert first.stdout == again.stdout
    assert state_of(parts) == "RETIRED"
    assert SERIAL in first.stdout
