"""A terminal's memory belongs to one process, and what it has no room for is told in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from memory_line import NOW, Demo
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import OfferOrder, Refusal, Refused
from posdecom_simulator.commands.state import held_state
from posdecom_simulator.memory.image import SMALL, Geometry, Image
from posdecom_simulator.population import populate
from posdecom_simulator.provision import provision, seeded
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.hardware import HardwareStore
from posdecom_simulator.terminal.personalise import personalise
from posdecom_simulator.terminal.terminal import Terminal


def terminal(site: Path, state: Path, *more: str) -> subprocess.CompletedProcess[str]:
    words = ("terminal", "--site", str(site), "--serial", "PD-000001", "--state", str(state), *more)
    command = [sys.executable, "-m", "posdecom_simulator", *words, "--tcp", "127.0.0.1:0"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_a_second_process_does_not_get_a_memory_that_one_has(tmp_path: Path) -> None:
    provision(tmp_path / "site", seed=1, now=NOW)
    with held_state(tmp_path / "state"):
        done = terminal(tmp_path / "site", tmp_path / "state")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: another process runs a terminal on ")
    assert "Traceback" not in done.stderr


def test_even_one_process_gets_it_once_at_a_time(tmp_path: Path) -> None:
    with (
        held_state(tmp_path),
        pytest.raises(click.ClickException, match="another process"),
        held_state(tmp_path),
    ):
        pass
    with held_state(tmp_path) as image:
        assert image.geometry == Geometry()


def test_more_sales_than_the_memory_holds_are_refused_in_one_line(tmp_path: Path) -> None:
    provision(tmp_path / "site", seed=1, now=NOW)
    Image.open(tmp_path / "state", SMALL)
    done = terminal(tmp_path / "site", tmp_path / "state", "--transactions", "1900")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("Error: the flash has no room for ")


def test_an_order_whose_messages_find_no_room_is_refused_and_the_terminal_trades_on(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "site")
    store, site = HardwareStore(Image.new(SMALL), entropy=seeded(5)), demo.site_terminal()
    personalise(store, site, populate(1, 400, site.settings.contexts, NOW - 86_400))
    boots = Terminal.boot(store, seeded(6))
    assert list(boots.answer(OfferOrder(NOW, demo.order()), NOW)) == [Refused(Refusal.NO_ROOM)]
    assert boots.life.state is LifecycleState.ACTIVE
    assert list(store.names(slots.ITEM_PREFIX)) == []
