from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chips import small
from posdecom_simulator.cli import simulator
from posdecom_simulator.memory.image import Image
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.hardware import HardwareStore


def run(*arguments: object) -> Result:
    return CliRunner().invoke(simulator, [str(one) for one in arguments])


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Three keys, one of them replaced twice, and a sale that is erased."""
    store = HardwareStore(Image.open(tmp_path, small(16)), entropy=lambda count: bytes(range(count)))
    store.put({slots.TPK.key: b"p" * 16, slots.CHANNEL_KEY.key: b"i" * 32, "transaction/000001": b"sale"})
    for byte in range(3):
        store.put({slots.TMK.key: bytes([byte]) * 32})
    store.erase(["transaction/000001"])
    return tmp_path


def test_it_shows_live_and_dead_copies_spare_blocks_and_wear(state: Path) -> None:
    shown = run("memory", "--state", state)
    assert shown.exit_code == 0
    assert shown.output.splitlines() == [
        "flash           16 KiB, 16 blocks of 1024 bytes",
        "  in use        1 blocks, 0 blank: 2 live and 3 dead copies",
        "  spare         15 blocks, 15 blank: 0 live and 0 dead copies",
        "  retired       0 blocks, 0 blank: 0 live and 0 dead copies",
        "  erases        0 to 0 per block, 0.0 on average; endures 100000",
        "sram            20 KiB, 2 of 9 slots filled",
        "secure-element  1 KiB, 1 of 3 slots filled",
        "slot/TMK                    flash: 1 live, 2 dead",
        "slot/TPK                    sram",
        "slot/WRAP                   sram",
        "slot/IDENTITY-CHANNEL       secure-element",
    ]


def test_as_json_it_shows_every_block(state: Path) -> None:
    table = json.loads(run("memory", "--state", state, "--json").output)
    assert len(table["flash"]) == 16
    assert table["flash"][0] == {
        "block": 0, "use": "in use", "blank": False, "erases": 0,
        "live": {"kcv/WRAP": 1, "slot/TMK": 1}, "dead": {"transaction/000001": 1, "slot/TMK": 2},
    }  # fmt: skip
    assert table["sram"] == {"slots": 9, "filled": ["slot/TPK", "slot/WRAP"], "tamper_latch": False}
    assert table["geometry"]["flash"]["blocks"] == 16


def test_it_changes_nothing(state: Path) -> None:
    before = {path.name: path.read_bytes() for path in state.iterdir()}
    run("memory", "--state", state)
    assert {path.name: path.read_bytes() for path in state.iterdir()} == before


def test_a_directory_without_an_image_is_named(tmp_path: Path) -> None:
    for name in ("memory", "tamper"):
        done = run(name, "--state", tmp_path)
        assert done.exit_code == 1
        assert str(tmp_path) in done.output
        assert list(tmp_path.iterdir()) == []


def test_a_tamper_from_outside_is_seen_by_the_running_terminal_at_once(state: Path) -> None:
    running = HardwareStore(Image.open(state))
    assert running.get(slots.TPK.key) is not None
    assert run("tamper", "--state", state).exit_code == 0
    assert running.get(slots.TPK.key) is None
    assert running.get(slots.CHANNEL_KEY.key) is None
    assert running.get(slots.TAMPER_MARK) is not None
    assert "TAMPER LATCH SET" in run("memory", "--state", state).output


def test_a_tamper_may_leave_the_identity(state: Path) -> None:
    run("tamper", "--state", state, "--keep-identity")
    after = HardwareStore(Image.open(state))
    assert after.get(slots.CHANNEL_KEY.key) == b"i" * 32
    assert after.get(slots.TPK.key) is None
