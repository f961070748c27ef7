"""A terminal that a tamper robbed of its keys: what it sealed before is read in the clear, and no more is asked."""

from __future__ import annotations

import pytest

from memory_line import NOW, Demo, MemoryLine
from posdecom_agent.job import Job
from posdecom_agent.journal import MemoryJournal, Row
from posdecom_agent.thaw import Thaw
from posdecom_agent.visit import Goal, Reached, TurnedDown, Visit, VisitEnd
from posdecom_protocol.channel import Channel
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import OfferOrder, Refusal, Sealed
from posdecom_simulator.provision import seeded
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.front import Front
from posdecom_simulator.terminal.store import MemoryStore
from posdecom_simulator.terminal.terminal import Terminal


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("demo") / "site")


def begun(demo: Demo, journal: MemoryJournal | None = None) -> Job:
    job = Job(journal or MemoryJournal())
    job.begin(demo.order())
    return job


def freeze(demo: Demo, terminal: Terminal) -> bytes:
    (sealed,) = terminal.answer(OfferOrder(NOW, demo.order()), NOW)
    assert isinstance(sealed, Sealed)
    return sealed.seal


def tamper(store: MemoryStore, *, reaches_identity: bool = True) -> Terminal:
    """As the circuit does it, and started again."""
    gone = slots.EVERY_SLOT if reaches_identity else slots.ERASE_ORDER
    store.erase(slot.key for slot in gone)
    store.put({slots.TAMPER_MARK: b"\1"})
    return Terminal.boot(store, seeded(9))


def visit(demo: Demo, terminal: Terminal, job: Job, goal: Goal = Goal.FLUSH) -> VisitEnd:
    channels: list[Channel] = []

    def channel() -> Channel:
        channels.append(demo.terminal_channel())
        return channels[-1]

    front = Front(terminal, channel, NOW)
    agent = Visit(job, demo.access(), goal, NOW)
    MemoryLine(agent, front).run(until=lambda: agent.is_over)
    assert agent.end is not None
    assert bool(channels) == terminal.has_identity  # one that has none is not troubled with its key
    return agent.end


def test_what_was_sealed_before_the_tamper_comes_into_custody_in_the_clear(demo: Demo) -> None:
    terminal, store = demo.terminal()
    seal = freeze(demo, terminal)
    job = begun(demo)
    assert visit(demo, tamper(store), job) == Reached()
    assert job.seal is not None and job.seal.data == seal
    assert job.custody_is_complete and job.items_stored > 0


def test_a_terminal_that_traded_until_the_tamper_says_so_and_is_asked_no_more(demo: Demo) -> None:
    terminal, store = demo.terminal()
    job = begun(demo)
    assert visit(demo, tamper(store), job) == TurnedDown("OfferOrder", Refusal.TAMPERED)
    assert terminal.life.state is LifecycleState.ACTIVE and job.seal is None


def test_an_erase_is_not_asked_of_a_terminal_that_cannot_attest_it(demo: Demo) -> None:
    terminal, store = demo.terminal()
    freeze(demo, terminal)
    journal = MemoryJournal()
    job = begun(demo, journal)
    tampered = tamper(store)
    assert visit(demo, tampered, job) == Reached()
    journal.append([Row("receipt", 1, b"whatever the desk signs: no visit offers it")])
    assert visit(demo, tampered, job, Goal.ERASE) == TurnedDown("OfferRelease", Refusal.TAMPERED)


def test_with_its_identity_left_a_tampered_terminal_makes_a_channel_as_ever(demo: Demo) -> None:
    terminal, store = demo.terminal()
    freeze(demo, terminal)
    job = begun(demo)
    assert visit(demo, tamper(store, reaches_identity=False), job) == Reached()
    assert job.custody_is_complete


def test_a_cancellation_comes_too_late_for_a_terminal_without_keys(demo: Demo) -> None:
    terminal, store = demo.terminal()
    freeze(demo, terminal)
    front = Front(tamper(store), demo.terminal_channel, NOW)
    thaw = Thaw(b"a cancellation", terminal.device.serial, demo.access(), NOW)
    MemoryLine(thaw, front).run(until=lambda: thaw.is_over)
    assert thaw.refusal is Refusal.TAMPERED
