"""The store without chips, and what a terminal says whose memory has lost what it cannot be without."""

from __future__ import annotations

from pathlib import Path

import pytest

from memory_line import NOW, Demo
from posdecom_protocol.errors import LocalError
from posdecom_protocol.messages import OfferOrder
from posdecom_simulator.provision import seeded
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.store import MemoryStore, held
from posdecom_simulator.terminal.terminal import Terminal


def test_an_empty_memory_is_no_terminal_and_says_so() -> None:
    with pytest.raises(LocalError, match="the store holds no state"):
        Terminal.boot(MemoryStore(), seeded(1))


def test_a_value_that_is_there_is_held_even_if_it_is_empty() -> None:
    assert held(MemoryStore(values={"mark": b""}), "mark") == b""


def test_a_terminal_whose_certificate_is_lost_signs_no_seal_and_stays_as_it_is(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "site")
    terminal, store = demo.terminal()
    before = store.get(slots.STATE)
    store.erase((slots.ATTESTATION_CERTIFICATE,))
    with pytest.raises(LocalError, match=f"the store holds no {slots.ATTESTATION_CERTIFICATE}"):
        tuple(terminal.answer(OfferOrder(NOW, demo.order()), NOW))
    assert (store.get(slots.STATE), store.get(slots.SEAL)) == (before, None)
