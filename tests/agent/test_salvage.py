"""A terminal that a tamper robbed of its keys: what it sealed before is read in the clear, and no more is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memory_line import NOW, Demo, MemoryLine
from posdecom_agent.job import Job
from posdecom_agent.journal import MemoryJournal, Row
from posdecom_agent.purge import purged_rows
from posdecom_agent.thaw import Thaw
from posdecom_agent.visit import Goal, Reached, TurnedDown, Visit, VisitEnd
from posdecom_protocol.channel import Channel
from posdecom_protocol.custody import decode_salvage, encode_salvage
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import OfferOrder, ReadSalvage, Refusal, Refused, Salvaged, Sealed
from posdecom_protocol.salvage import salvage_of
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


def test_the_records_of_a_terminal_that_traded_until_the_tamper_come_into_custody(demo: Demo) -> None:
    _, store = demo.terminal(transactions=200)
    journal = MemoryJournal()
    job = begun(demo, journal)
    visit(demo, tamper(store), job)
    assert job.salvage_is_complete and job.salvaged_stored == 200
    assert job.salvage is not None and job.salvage.count == 200
    assert sum(1 for _ in job.salvaged_messages()) > 1  # more than one reply holds
    again = Job(journal)
    assert again.salvage == job.salvage
    visit(demo, tamper(store), again)  # asks for nothing that it has
    assert again.journal_head == job.journal_head
    certified, purged = purge_of(journal), job.salvage
    assert certified.salvage == purged and certified.salvaged_stored == 0


def test_an_empty_battery_leaves_the_identity_and_the_records_come_through_the_channel(demo: Demo) -> None:
    """Its keys are gone as after a tamper: nothing can be sealed, so its records are read as they are."""
    _, store = demo.terminal()
    job = begun(demo)
    left = tamper(store, reaches_identity=False)
    assert visit(demo, left, job) == TurnedDown("OfferOrder", Refusal.TAMPERED)
    assert job.salvage is not None and job.salvage.count == 6
    assert list(left.answer_in_clear(ReadSalvage(1))) == [Refused(Refusal.STATE)]


def test_a_terminal_that_sold_nothing_has_an_empty_salvage(demo: Demo) -> None:
    _, store = demo.terminal(transactions=0)
    job = begun(demo)
    visit(demo, tamper(store), job)
    assert job.salvage is not None and (job.salvage.count, job.salvage.sums) == (0, ())


def test_a_terminal_that_can_make_a_channel_gives_no_record_in_the_clear(demo: Demo) -> None:
    terminal, store = demo.terminal()
    refused = [Refused(Refusal.STATE)]
    assert list(terminal.answer_in_clear(ReadSalvage(1))) == refused
    assert list(terminal.answer(ReadSalvage(1), NOW)) == refused
    assert list(tamper(store).answer_in_clear(ReadSalvage(7))) == [Refused(Refusal.NOT_FOUND)]


def test_what_was_sealed_is_read_as_its_items_and_never_as_loose_records(demo: Demo) -> None:
    terminal, store = demo.terminal()
    freeze(demo, terminal)
    assert list(tamper(store).answer_in_clear(ReadSalvage(1))) == [Refused(Refusal.STATE)]


def test_salvaged_records_out_of_sequence_or_malformed_are_not_kept(demo: Demo) -> None:
    _, store = demo.terminal()
    (whole,) = tamper(store).answer_in_clear(ReadSalvage(1))
    assert isinstance(whole, Salvaged) and whole.total == 6
    for wrong in (
        replace(whole, first=2),
        replace(whole, total=5),
        replace(whole, records=(*whole.records[:-1], whole.records[-1] + b"\0")),
    ):
        job = begun(demo)
        with pytest.raises(DocumentError, match="salvaged records"):
            job.keep_salvaged(wrong)
        assert job.salvaged_stored == 0


def salvaged_message(demo: Demo, transactions: int = 6) -> Salvaged:
    _, store = demo.terminal(transactions=transactions)
    (whole,) = tamper(store).answer_in_clear(ReadSalvage(1))
    assert isinstance(whole, Salvaged)
    return whole


def test_a_record_that_comes_again_is_not_kept(demo: Demo) -> None:
    whole, job = salvaged_message(demo), begun(demo)
    for twice in ((whole.records[0],) * 2, whole.records[1::-1]):
        with pytest.raises(DocumentError, match="order of their numbers"):
            job.keep_salvaged(replace(whole, records=twice))
    job.keep_salvaged(replace(whole, records=whole.records[:3]))
    with pytest.raises(DocumentError, match="order of their numbers"):
        job.keep_salvaged(replace(whole, first=4, records=whole.records[2:3]))
    assert job.salvaged_stored == 3


def test_what_a_terminal_gave_before_it_died_is_certified_and_handed_over(demo: Demo) -> None:
    whole, job = salvaged_message(demo), begun(demo)
    job.keep_salvaged(replace(whole, records=whole.records[:4]))
    assert job.salvage is None and not job.salvage_is_over  # the rest may still come
    job.keep_once("absent")
    assert job.salvage == salvage_of(whole.records[:4])
    _, records = decode_salvage(b"".join(encode_salvage(job.order.data, job.salvaged_messages())))
    assert records == whole.records[:4]


def purge_of(journal: MemoryJournal) -> Job:
    fresh = MemoryJournal()
    fresh.append(list(purged_rows(journal, NOW)))
    return Job(fresh)


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
