"""A job is what its journal says: built afresh from the rows it is the same, and no row of it is kept unjudged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from document_chain import HANDS, NOW
from posdecom_agent.dialects import Delivered, Refused
from posdecom_agent.job import DIGEST_BYTES, Job
from posdecom_agent.journal import MemoryJournal, Row
from posdecom_agent.storage import RESERVE_FACTOR, DiskFull
from posdecom_protocol.documents import issue
from posdecom_protocol.documents.remedy import Held, Means, Remedy
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.limits import ITEM_BYTES_MAX
from posdecom_protocol.money import Tally
from posdecom_protocol.records import decode_item
from release_case import Case, begin_job, open_case

ANSWER = bytes(DIGEST_BYTES)


@pytest.fixture(scope="module")
def case() -> Case:
    return open_case()


@pytest.fixture
def job(case: Case) -> Job:
    """With everything in custody."""
    made = begin_job(case)
    made.keep_seal(case.seal)
    made.keep_items(1, case.items)
    return made


def again(job: Job) -> Job:
    """The same job as the next run sees it."""
    return Job(MemoryJournal(job._journal.rows()))


def facts(job: Job) -> dict[str, object]:
    names = (
        "items_stored", "items_missing", "custody_is_complete", "receipts", "evidence", "certificate", "closure",
        "journal_head", "erase_was_started", "answers", "settled", "seal", "purged_at",
    )  # fmt: skip
    return {name: getattr(job, name) for name in names} | {
        "outcomes": job.outcomes(),
        "items": list(job.items()),
    }


# --- the fold ----------------------------------------------------------------------------------------------


def test_a_job_built_from_its_journal_is_the_same_after_each_thing_that_is_kept(case: Case) -> None:
    case.settle()
    receipts = case.receipts()
    steps: Sequence[Callable[[Job], None]] = (
        lambda job: job.keep_seal(case.seal),
        lambda job: job.keep_items(1, case.items[:3]),
        lambda job: job.keep_items(4, case.items[3:]),
        lambda job: job.keep_outcome(1, Delivered(), ANSWER),
        lambda job: job.keep_outcome(2, Refused("05"), ANSWER),
        lambda job: job.keep_settled(0),
        lambda job: job.keep_settled(1),
        lambda job: job.offer_again([2, 1]),
        lambda job: job.keep_outcome(1, Delivered(), ANSWER),
        lambda job: job.keep_settled(0),
        lambda job: job.keep_receipts(receipts),
        lambda job: job.keep_once("erasing"),
        lambda job: job.keep_once("evidence", case.evidence(receipts)),
    )
    job = begin_job(case)
    assert facts(job) == facts(again(job))
    for step in steps:
        step(job)
        assert facts(job) == facts(again(job))
    assert job.outcomes() == {1: Delivered()}
    assert job.settled == {0, 1}
    assert job.answers == 3


def test_the_last_word_of_the_host_counts(job: Job) -> None:
    job.keep_outcome(1, Refused("05"), ANSWER)
    job.keep_outcome(1, Delivered(), ANSWER)
    assert job.outcomes() == {1: Delivered()}


def test_what_is_offered_again_opens_its_own_context_only(job: Job, case: Case) -> None:
    job.keep_settled(0)
    job.keep_settled(1)
    of_the_second = next(n for n, item in enumerate(case.items, 1) if decode_item(item).context == 1)
    job.offer_again([of_the_second])
    assert job.settled == {0}


def test_what_is_told_is_a_copy(job: Job) -> None:
    job.keep_outcome(1, Delivered(), ANSWER)
    job.outcomes().clear()
    assert job.outcomes() == {1: Delivered()}


class Counting(MemoryJournal):
    """Counts the rows that are read back."""

    read = 0

    def rows(self, kind: str | None = None) -> Iterator[Row]:
        for row in super().rows(kind):
            Counting.read += 1
            yield row


def test_asking_for_outcomes_reads_no_row(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty thousand items and as many answers are asked for once a context."""
    job = Job(Counting())
    job.begin(case.order)
    job.keep_seal(case.seal)
    job.keep_items(1, case.items)
    monkeypatch.setattr(Counting, "read", 0)
    for sequence in range(1, 20):
        job.keep_outcome(sequence, Delivered(), ANSWER)
        assert len(job.outcomes()) == sequence
        assert job.settled == frozenset()
        assert job.receipts == ()
    assert Counting.read == 0


# --- the order -----------------------------------------------------------------------------------------------


def test_a_job_belongs_to_one_order(case: Case) -> None:
    job = begin_job(case)
    head = job.journal_head
    job.begin(case.order)
    assert job.journal_head == head
    other = open_case(order_changes=lambda body: replace(body, counter=8)).order
    with pytest.raises(DocumentError, match="order: this journal belongs to another order"):
        job.begin(other)
    with pytest.raises(DocumentError, match="order"):
        Job(MemoryJournal()).begin(b"no order")


def test_a_job_without_an_order_says_so() -> None:
    with pytest.raises(DocumentError, match="order: the job has none yet"):
        _ = Job(MemoryJournal()).order


# --- the seal ------------------------------------------------------------------------------------------------


def sealed(case: Case, change: Callable[[Seal], Seal]) -> bytes:
    return issue(change(case.seal_body), HANDS.seal)


def shifted(body: Seal, first: int, last: int) -> Seal:
    context, *rest = body.contexts
    moved = replace(context, item_first=context.item_first + first, item_last=context.item_last + last)
    return replace(body, contexts=(moved, *rest))


@pytest.mark.parametrize(
    "change",
    [
        lambda body: shifted(body, 1, 0),
        lambda body: shifted(body, 0, 1),
        lambda body: shifted(body, 0, -1),
        lambda body: replace(body, item_count=body.item_count - 1),
        lambda body: replace(body, contexts=body.contexts[:1]),
        lambda body: replace(body, contexts=()),
    ],
)
def test_contexts_that_do_not_share_out_the_items_are_refused(
    case: Case, change: Callable[[Seal], Seal]
) -> None:
    job = begin_job(case)
    with pytest.raises(DocumentError, match="seal: its contexts do not share out its items"):
        job.keep_seal(sealed(case, change))
    assert job.seal is None


def test_a_seal_under_another_order_or_of_another_terminal_is_refused(case: Case) -> None:
    other = open_case(order_changes=lambda body: replace(body, counter=8))
    for seal in (other.seal, sealed(case, lambda body: replace(body, serial="T-0002"))):
        job = begin_job(case)
        with pytest.raises(DocumentError, match="seal: is not under this order"):
            job.keep_seal(seal)
        assert job.seal is None


def test_an_empty_context_stands_between_full_ones(case: Case) -> None:
    def insert(body: Seal) -> Seal:
        first, second = body.contexts
        empty = replace(
            first, index=1, item_first=first.item_last + 1, item_last=first.item_last, classes=(), totals=()
        )
        return replace(body, contexts=(first, empty, replace(second, index=2)))

    job = begin_job(case)
    job.keep_seal(sealed(case, insert))
    assert job.seal is not None
    assert [context.has_items for context in job.seal.body.contexts] == [True, False, True]


def test_the_same_seal_again_changes_nothing_and_another_is_refused(case: Case) -> None:
    job = begin_job(case)
    job.keep_seal(case.seal)
    head = job.journal_head
    job.keep_seal(case.seal)
    assert job.journal_head == head
    with pytest.raises(DocumentError, match="seal: the terminal made another one for the same order"):
        job.keep_seal(sealed(case, lambda body: replace(body, challenge=bytes(32))))


def test_room_is_made_sure_of_before_the_seal_is_kept(case: Case) -> None:
    job = Job(MemoryJournal(free_bytes=lambda: 1024))
    job.begin(case.order)
    with pytest.raises(DiskFull):
        job.keep_seal(case.seal)
    assert job.seal is None


# --- items -----------------------------------------------------------------------------------------------------


def test_room_is_made_sure_of_for_items_as_large_as_they_may_be_and_their_answers(case: Case) -> None:
    count = 100_000
    rows_bytes = count * (ITEM_BYTES_MAX + DIGEST_BYTES + len(b"not balanced"))
    job = Job(MemoryJournal(free_bytes=lambda: rows_bytes * RESERVE_FACTOR))
    job.begin(case.order)
    first, last = case.seal_body.contexts
    many = sealed(
        case, lambda body: replace(body, item_count=count, contexts=(first, replace(last, item_last=count)))
    )
    with pytest.raises(DiskFull):
        job.keep_seal(many)


def test_items_come_in_any_pieces_and_in_order(case: Case) -> None:
    job = begin_job(case)
    job.keep_seal(case.seal)
    for sequence, item in enumerate(case.items, 1):
        assert job.items_missing == len(case.items) - sequence + 1
        job.keep_items(sequence, [item])
    assert job.custody_is_complete
    assert job.item(3) == decode_item(case.items[2])


def test_no_items_are_no_answer(case: Case) -> None:
    """Or a terminal that sends nothing, again and again, would be waited for without end."""
    job = begin_job(case)
    job.keep_seal(case.seal)
    with pytest.raises(DocumentError, match="items: came out of sequence"):
        job.keep_items(1, [])


def test_a_bulk_with_one_bad_item_is_refused_as_a_whole(case: Case) -> None:
    job = begin_job(case)
    job.keep_seal(case.seal)
    with pytest.raises(DocumentError, match="items: one is malformed"):
        job.keep_items(1, [case.items[0], b"\x00"])
    assert job.items_stored == 0


@pytest.mark.parametrize("at_once", [True, False])
def test_the_last_item_closes_the_chain_or_is_refused(case: Case, at_once: bool) -> None:
    job = begin_job(case)
    job.keep_seal(case.seal)
    if not at_once:
        job.keep_items(1, case.items[:-1])
    wrong = [*case.items[job.items_stored : -1], case.items[0]]
    with pytest.raises(DocumentError, match="items: do not add up to the seal's chain head, and are dropped"):
        job.keep_items(job.items_stored + 1, wrong)
    assert (job.items_stored, list(job.items())) == (0, [])
    job.keep_items(1, case.items)
    assert job.custody_is_complete


def test_one_wrong_item_among_those_read_costs_a_second_reading_and_is_never_handed_on(case: Case) -> None:
    """Whoever had the line in between told it; only the last item shows that one of them is not the seal's."""
    job = begin_job(case)
    job.keep_seal(case.seal)
    for _ in range(2):
        job.keep_items(1, [case.items[1], *case.items[1:-2]])
        with pytest.raises(DocumentError, match="are dropped: read them again"):
            job.keep_items(len(case.items) - 1, case.items[-2:])
        assert facts(again(job)) == facts(job)
        assert job.items_stored == 0
    job.keep_items(1, case.items[:5])
    job = again(job)
    assert list(job.items()) == list(case.items[:5])
    job.keep_items(6, case.items[5:])
    for made in (job, again(job)):
        assert made.custody_is_complete
        assert list(made.items()) == list(case.items)
        assert [made.item_bytes(sequence) for sequence in range(1, len(case.items) + 1)] == list(case.items)


@pytest.mark.parametrize("sequence", [0, 10_000])
def test_only_what_is_in_custody_is_offered_again(job: Job, sequence: int) -> None:
    with pytest.raises(DocumentError, match="missing items: are not in custody"):
        job.offer_again([1, sequence])
    assert job._journal.count("again") == 0


@pytest.mark.parametrize("sequence", [0, 10_000])
def test_a_journal_that_offers_again_what_no_seal_of_it_names_is_refused(job: Job, sequence: int) -> None:
    offered = Row("again", sequence, b"")
    for rows in ([offered], [*job._journal.rows(), offered]):
        with pytest.raises(DocumentError, match="journal: offers an item again that is not under its seal"):
            Job(MemoryJournal(rows))


# --- receipts and marks ------------------------------------------------------------------------------------------


def test_the_first_receipts_stay(case: Case, job: Job) -> None:
    case.settle()
    receipts = case.receipts()
    job.keep_receipts(receipts)
    job.keep_receipts((b"anything",))
    assert job.receipts == receipts


def test_receipts_without_a_seal_or_over_another_are_refused(case: Case, job: Job) -> None:
    other = open_case(seed=2)
    other.settle()
    for one in (job, begin_job(case)):
        with pytest.raises(DocumentError, match="receipt: is over another seal"):
            one.keep_receipts(other.receipts())
        assert one.receipts == ()


def test_nothing_is_stated_about_held_money_before_a_receipt_lists_any(job: Job) -> None:
    remedy = Remedy(Held.SOLD_LATE, 0, Tally(1, 1000), Means.RETURNED, "B. Clerk", NOW, "bank case 17")
    with pytest.raises(DocumentError, match="remedies: there is no receipt that lists anything yet"):
        job.keep_remedy(remedy)
    assert job.remedies == ()


def test_the_first_closure_of_a_certificate_stays_and_another_certificate_has_its_own(job: Job) -> None:
    job.keep_certificate(b"certificate")
    job.keep_closure(b"closure")
    job.keep_closure(b"another")
    assert job.closure == b"closure"
    job.keep_certificate(b"certificate that supersedes it")
    assert job.closure is None
    job.keep_closure(b"another")
    assert job.closure == b"another"


def test_a_mark_is_set_once(job: Job) -> None:
    job.keep_once("erasing")
    head = job.journal_head
    job.keep_once("erasing")
    assert (job.erase_was_started, job.journal_head) == (True, head)


def test_an_append_that_fails_leaves_the_job_as_the_journal_is(case: Case) -> None:
    class Fails(MemoryJournal):
        broken = False

        def append(self, rows: Sequence[Row]) -> None:
            if self.broken:
                raise DiskFull
            super().append(rows)

    journal = Fails()
    job = Job(journal)
    job.begin(case.order)
    job.keep_seal(case.seal)
    journal.broken = True
    with pytest.raises(DiskFull):
        job.keep_items(1, case.items)
    with pytest.raises(DiskFull):
        job.keep_outcome(1, Delivered(), ANSWER)
    assert facts(job) == facts(again(job))
    assert job.items_stored == 0
