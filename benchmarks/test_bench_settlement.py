"""What the settlement engine costs beside packing and unpacking the same messages. One command prints the table:

    pytest benchmarks/test_bench_settlement.py --benchmark-enable --benchmark-columns=min,median,rounds

One conversation in which nothing balances, so that every record goes out; the host's answers are ready, so that only
our own work is measured. The floor row packs each message and unpacks it and its answer with pyiso8583, and does
nothing else. The journal row adds what makes an outcome durable: one commit on disk for each answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Final

import iso8583
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from posdecom_agent.dialects import CUP, Outcome
from posdecom_agent.journal import Row, SqliteJournal
from posdecom_agent.settlement import Answered, Entry, Settlement
from posdecom_protocol.iso8583 import _SPEC, ENVELOPE_BYTES, frame_message
from posdecom_protocol.money import CardGroup
from posdecom_simulator.acquirer.host import ScriptedBehaviour
from shop import CONTEXTS, open_acquirer, open_shop, settle

RECORDS: Final = 300
NOW: Final = 1_900_000_000.0
CONVERSATION: Final = pytest.mark.benchmark(group=f"one context of {RECORDS} records, nothing balanced")

SHOP: Final = open_shop(seed=1, count=RECORDS, contexts=CONTEXTS[:1])
ITEMS: Final = dict(enumerate(SHOP.prepared.items, 1))
INDEX: Final = [Entry(sequence, item.kind) for sequence, item in ITEMS.items()]


@pytest.fixture(scope="module")
def exchanges() -> dict[bytes, bytes]:
    """Every message of the conversation with its answer."""
    host, _ = open_acquirer(SHOP, ScriptedBehaviour(not_balanced=frozenset(CardGroup)), contexts=CONTEXTS[:1])
    found: dict[bytes, bytes] = {}
    engine = settle(SHOP, 0)
    engine.connected(NOW)
    while data := _next(engine, lambda _: None):
        answer = host.answer(data, NOW)
        assert answer is not None
        found[data] = answer
        engine.receive(frame_message(answer), NOW)
    assert len(found) > RECORDS
    return found


def _next(engine: Settlement, keep: Callable[[Answered], None]) -> bytes:
    for event in engine.events():
        if isinstance(event, Answered):
            keep(event)
    return engine.bytes_to_send(NOW)[2:]


def converse(exchanges: dict[bytes, bytes], keep: Callable[[Answered], None]) -> int:
    """Messages that were answered."""
    engine = Settlement(CUP, INDEX, lambda sequence: ITEMS[sequence].message, {})
    engine.connected(NOW)
    answered = 0
    while data := _next(engine, keep):
        engine.receive(frame_message(exchanges[data]), NOW)
        answered += 1
    return answered


@CONVERSATION
def test_engine(benchmark: BenchmarkFixture, exchanges: dict[bytes, bytes]) -> None:
    outcomes: dict[int, Outcome] = {}
    answered = benchmark(
        lambda: converse(exchanges, lambda event: outcomes.update({event.sequence: event.outcome}))
    )
    assert answered == len(exchanges) == len(outcomes)
    _tell(benchmark, answered)


@CONVERSATION
def test_engine_with_a_journal_on_disk(
    benchmark: BenchmarkFixture, exchanges: dict[bytes, bytes], tmp_path: Path
) -> None:
    names = count()

    def run() -> int:
        journal = SqliteJournal.open(tmp_path / "jobs" / f"{next(names)}.journal")
        try:
            return converse(
                exchanges, lambda one: journal.append([Row("outcome", one.sequence, one.answer_digest)])
            )
        finally:
            journal.close()

    _tell(benchmark, benchmark(run))


@CONVERSATION
def test_floor_the_same_messages_packed_and_unpacked_without_an_engine(
    benchmark: BenchmarkFixture, exchanges: dict[bytes, bytes]
) -> None:
    documents = [iso8583.decode(request[ENVELOPE_BYTES:], _SPEC)[0] for request in exchanges]

    def pack_and_unpack() -> Sequence[bytes]:
        packed = []
        for (request, answer), document in zip(exchanges.items(), documents, strict=True):
            iso8583.decode(request[ENVELOPE_BYTES:], _SPEC)
            iso8583.decode(answer[ENVELOPE_BYTES:], _SPEC)
            packed.append(bytes(iso8583.encode(document, _SPEC)[0]))
        return packed

    packed = benchmark(pack_and_unpack)
    assert packed == [request[ENVELOPE_BYTES:] for request in exchanges]
    _tell(benchmark, len(packed))


def _tell(benchmark: BenchmarkFixture, messages: int) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info["messages"] = messages
        benchmark.extra_info["messages per second"] = round(messages / benchmark.stats.stats.median)
