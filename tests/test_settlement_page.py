"""docs/settlement.md against the code: each diagram is a conversation that took place, each message one of its own.

A fenced block ``hex NAME`` is one message as it is on TCP, without its length prefix. A ``mermaid`` block is one
conversation, each arrow a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

import pytest

from document_chain import order_body
from posdecom_agent.dialects import DIALECTS
from posdecom_agent.settlement import Finished, Reason
from posdecom_protocol.chip_data import ChipData, Cryptogram
from posdecom_protocol.documents.order import Account, AfterCutoff, Preauths
from posdecom_protocol.iso8583 import IsoMessage, decode
from posdecom_protocol.money import CardGroup
from posdecom_protocol.records import ItemKind
from posdecom_simulator.acquirer.host import Behaviour, Host
from posdecom_simulator.terminal.device import Context
from posdecom_simulator.terminal.prepare import Rules
from release_case import HSM, Case, case_of
from shop import START_S, booked, converse, open_shop, settle

PAGE: Final = (Path(__file__).parents[1] / "docs" / "settlement.md").read_text(encoding="utf-8")
SEED: Final = 14836
TRANSACTIONS: Final = 10
CUTOFF_AT: Final = START_S + 4 * 3600
WORDS: Final = {
    ItemKind.REVERSAL: "reversal",
    ItemKind.PREAUTH_VOID: "void of a pre-authorisation",
    ItemKind.ADVICE: "advice",
    ItemKind.REFUND: "refund",
    ItemKind.TOTALS: "totals",
    ItemKind.UPLOAD: "upload",
    ItemKind.END_BALANCED: "end, balanced",
    ItemKind.END_UNBALANCED: "end, not balanced",
    ItemKind.SIGN_OFF: "sign-off",
    ItemKind.CLOSE: "close after upload",
    ItemKind.CHIP_PROOF: "chip data",
    ItemKind.CHIP_PROOF_UNBALANCED: "chip data",
}
CONVERSATIONS: Final = ["cup balanced", "cup not balanced", "edc balanced", "edc not balanced"]


class Differs(Behaviour):
    """A host whose books never say the same."""

    def agrees(self, group: CardGroup, equal: bool) -> bool:
        return False


class Recorder(Host):
    """A host whose answers are kept."""

    def __init__(self, case: Case, behaviour: Behaviour | None) -> None:
        super().__init__(case.ledger, HSM, booked(case.contexts), behaviour)
        self.answers: list[bytes] = []

    def answer(self, data: bytes, now: float) -> bytes | None:
        answer = super().answer(data, now)
        assert answer is not None
        self.answers.append(answer)
        return answer


@lru_cache(maxsize=8)
def conversation(name: str) -> tuple[tuple[str, ItemKind, bytes, bytes], ...]:
    """Message name, its part, request and answer, in order."""
    dialect, balance = name.split(" ", 1)
    context = Context(0, "acquirer-a", "123456789012345", "TERM0001", 156, 24, dialect)
    case = small_case(context)
    kinds = {item.message: item.kind for item in case.shop.prepared.items}
    host = Recorder(case, Differs() if balance == "not balanced" else None)
    events, sent = converse(settle(case.shop, 0, dialect=DIALECTS[dialect]), host)
    assert events[-1] == Finished()
    return tuple(
        (f"{dialect} {_word(kinds[data], data)}", kinds[data], data, answer)
        for data, answer in zip(sent, host.answers, strict=True)
    )


def _word(kind: ItemKind, data: bytes) -> str:
    """What the page calls a message."""
    chip = decode(data).fields.get(55)
    if not isinstance(chip, bytes):
        return WORDS[kind]
    if ChipData.decode(chip).cryptogram is Cryptogram.AAC:
        return f"{WORDS[kind]}, declined"
    return f"{WORDS[kind]} by chip" if kind is ItemKind.UPLOAD else WORDS[kind]


def small_case(context: Context) -> Case:
    """A small day with one of everything, of which the order refunds and withholds."""
    order = replace(
        order_body(),
        accounts=(Account(context.acquirer, context.mid, context.tid),),
        cutoff_at=CUTOFF_AT,
        after_cutoff=AfterCutoff.REFUND,
        preauths=Preauths.VOID,
    )
    shop = open_shop(SEED, TRANSACTIONS, Rules.from_order(order), (context,))
    return case_of(shop, order, (context,))


def diagram(name: str) -> list[str]:
    """The arrows of a conversation."""
    lines = []
    for _, kind, data, answer in conversation(name):
        asked, told = decode(data), decode(answer)
        lines.append(f"agent->>host: {asked.mti} {_word(kind, data)}, STAN {asked.text(11)}")
        lines.append(f"host-->>agent: {told.mti} code {told.text(39)}{_reply(told)}")
    return lines


def _reply(answer: IsoMessage) -> str:
    if 48 not in answer.fields:
        return ""
    digits = answer.text(48)
    return f", groups {digits[30]} and {digits[61]}"


def examples() -> dict[str, bytes]:
    """The first message of each kind of every conversation, with its answer."""
    found: dict[str, bytes] = {}
    for name in CONVERSATIONS:
        for message, kind, data, answer in conversation(name):
            found.setdefault(message, data)
            judged = f"{message} answer" + (f", {name.split(' ', 1)[1]}" if kind is ItemKind.TOTALS else "")
            found.setdefault(judged, answer)
    return found


def blocks(kind: str) -> Iterator[tuple[str, str]]:
    for found in re.finditer(rf"```{kind} ?([^\n]*)\n(.*?)```", PAGE, re.S):
        yield found[1], found[2]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_diagram_is_the_conversation_that_takes_place(name: str) -> None:
    drawn = dict(diagrams())
    arrows = [line.strip() for line in drawn[name].splitlines() if ">>" in line]
    assert arrows == diagram(name)


def diagrams() -> Sequence[tuple[str, str]]:
    """By the title that stands in them."""
    found = [text for _, text in blocks("mermaid")]
    return [(re.search(r"title (.*)", text)[1], text) for text in found]  # type: ignore[index]


def test_every_message_on_the_page_is_one_that_was_sent() -> None:
    expected = examples()
    shown = {name: bytes.fromhex("".join(text.split())) for name, text in blocks("hex")}
    assert set(shown) >= {"cup reversal", "cup advice", "cup totals", "edc totals", "edc upload"}
    assert shown == {name: expected[name] for name in shown}


def test_the_day_of_the_examples_has_one_of_everything() -> None:
    kinds = {kind for name in CONVERSATIONS for _, kind, _, _ in conversation(name)}
    assert kinds == set(ItemKind) - {ItemKind.WITHHELD}


def test_every_reason_to_stop_is_in_the_table_of_faults() -> None:
    for reason in Reason:
        assert f"\n| {reason.value}" in PAGE


def test_the_cut_off_of_the_examples_is_the_one_on_the_page() -> None:
    assert datetime.fromtimestamp(CUTOFF_AT, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") in PAGE
    assert f"seed {SEED}" in PAGE
