"""By the command line alone: a blank terminal gets its next owner, with the maker's word and without it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from posdecom_protocol.documents.order import Mode
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_simulator.cli import main
from posdecom_simulator.commands import load
from posdecom_simulator.memory.image import GEOMETRY_FILE, Image
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.hardware import HardwareStore
from posdecom_simulator.terminal.terminal import Terminal
from terminal_life import Estate, TerminalLife

SERIAL = "PD-000001"


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return int(caught.value.code or 0)


def on_disk(image: Image, folder: Path) -> Path:
    folder.mkdir()
    for name, cells in image.cells.items():
        (folder / f"{name}.bin").write_bytes(cells)
    (folder / GEOMETRY_FILE).write_text(image.geometry.json())
    return folder


@dataclass
class Desk:
    """The blank terminal's memory and evidence, its maker's site, and the next owner's."""

    folder: Path
    life: TerminalLife
    state: Path

    def bind(self, maker: str = "site") -> int:
        terminal = self.folder / "next" / "terminals" / SERIAL
        proof, output = self.folder / "evidence.cose", self.folder / "bind.cose"
        return run("bind", proof, output, "--maker", self.folder / maker / "maker", "--to", terminal)

    def load(self) -> int:
        words = ("--site", self.folder / "next", "--serial", SERIAL, "--state", self.state)
        return run("load", *words, "--bind", self.folder / "bind.cose", "--transactions", 5)

    def store(self) -> HardwareStore:
        return HardwareStore(Image.inspect(self.state))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(load, "protect", lambda: True)  # this process is not to be locked into memory
    life = Estate(tmp_path / "site").life()
    life.freeze(Mode.REDEPLOY)
    life.erase()
    (tmp_path / "evidence.cose").write_bytes(life.store.get(slots.EVIDENCE) or b"")
    assert run("provision", tmp_path / "next", "--seed", 2, "--next-owner-of", tmp_path / "site") == 0
    assert run("provision", tmp_path / "stranger", "--seed", 3) == 0
    return Desk(tmp_path, life, on_disk(life.image, tmp_path / "state"))


def test_bound_by_its_maker_a_blank_terminal_is_in_service_for_the_next_owner(desk: Desk) -> None:
    assert (desk.bind(), desk.load()) == (0, 0)
    store, before = desk.store(), desk.life
    terminal = Terminal.boot(store, before.entropy)
    assert terminal.life.state is LifecycleState.ACTIVE
    accounts = {context.account for context in terminal.device.contexts}
    assert accounts.isdisjoint(context.account for context in before.site.settings.contexts)
    for slot in slots.ERASE_ORDER:
        assert store.get(slot.key) is not None
    for slot in slots.IDENTITY:
        assert store.get(slot.key) == before.store.get(slot.key)
    next_initial_key_id = (store.get(slots.DUKPT.key) or b"")[:8]
    assert next_initial_key_id != before.site.keys.initial_key_id
    assert len(list(store.names(slots.TRANSACTION_PREFIX))) == 5


def test_another_makers_bind_is_refused_and_changes_nothing(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.bind(maker="stranger") == 0  # he may sign what he likes
    before = desk.store().regions()
    assert desk.load() == 1
    assert capsys.readouterr().err.startswith("Error: ")
    assert desk.store().regions() == before


def test_a_bind_loads_once(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert (desk.bind(), desk.load(), desk.load()) == (0, 0, 1)
    assert "the terminal is ACTIVE, not BLANK" in capsys.readouterr().err


def test_what_is_no_proof_of_an_erase_binds_nothing(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    (desk.folder / "evidence.cose").write_bytes(desk.life.order)
    assert desk.bind() == 1
    assert capsys.readouterr().err.startswith("Error: ")
    assert not (desk.folder / "bind.cose").exists()
