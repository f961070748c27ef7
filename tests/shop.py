"""One shop for tests about money: its day, its terminal frozen, its acquirer, and the conversation of the two."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from posdecom_agent.dialects import CUP, Dialect, Outcome
from posdecom_agent.settlement import Answered, Entry, Event, Settlement
from posdecom_protocol.aes_dukpt import InitialKeyId, TerminalDukpt, initial_key
from posdecom_protocol.documents.order import AfterCutoff, Preauths
from posdecom_protocol.iso8583 import frame_message
from posdecom_protocol.secret import Secret
from posdecom_simulator.acquirer.host import Behaviour, Host
from posdecom_simulator.acquirer.hsm import Hsm
from posdecom_simulator.acquirer.ledger import Ledger, MemoryStore, Store
from posdecom_simulator.history import read_history, write_history
from posdecom_simulator.population import Transaction, populate
from posdecom_simulator.site import BookedTerminal
from posdecom_simulator.terminal.device import Context
from posdecom_simulator.terminal.prepare import Prepared, Rules, StanCounter, prepare
from posdecom_simulator.terminal.stored import StoredTransaction, store_transaction

START_S: Final = 1_800_000_000
"""2027-01-15T08:00:00Z."""
BDK: Final = bytes.fromhex("FEDCBA9876543210F1F1F1F1F1F1F1F1")
"""The base derivation key of the standard's examples (ANSI X9.24-3)."""
INITIAL_KEY_ID: Final = InitialKeyId(bytes.fromhex("1234567890123456"))
CONTEXTS: Final = (
    Context(0, "acquirer-a", "123456789012345", "TERM0001", 156, 24, "cup"),
    Context(1, "acquirer-a", "123456789012345", "TERM0002", 344, 7, "cup"),
)
NO_CUTOFF: Final = Rules("991231235959", AfterCutoff.HOLD, Preauths.LIST)


@dataclass(frozen=True, slots=True)
class Shop:
    day: tuple[Transaction, ...]
    stored: tuple[StoredTransaction, ...]
    prepared: Prepared

    def number(self, number: int) -> Transaction:
        return self.day[number - 1]


@lru_cache(maxsize=64)
def open_shop(
    seed: int = 1,
    count: int = 60,
    rules: Rules = NO_CUTOFF,
    contexts: tuple[Context, ...] = CONTEXTS,
) -> Shop:
    """A day sold, stored and frozen."""
    return freeze_day(populate(seed, count, contexts, START_S), rules, contexts)


def freeze_day(day: Sequence[Transaction], rules: Rules, contexts: tuple[Context, ...] = CONTEXTS) -> Shop:
    """Any day, stored and frozen."""
    keys = terminal_keys()
    stored = tuple(store_transaction(one, keys, contexts[one.context].currency) for one in day)
    stans = StanCounter(day[-1].stan if day else 0)
    return Shop(tuple(day), stored, prepare(contexts, stored, keys, stans, rules))


def terminal_keys() -> TerminalDukpt:
    return TerminalDukpt.load(initial_key(Secret(BDK), INITIAL_KEY_ID), INITIAL_KEY_ID)


def open_acquirer(
    shop: Shop,
    behaviour: Behaviour | None = None,
    store: Store | None = None,
    contexts: tuple[Context, ...] = CONTEXTS,
) -> tuple[Host, Ledger]:
    """The acquirer that has had the shop's online transactions; a store that is not empty has had them before."""
    hsm = Hsm(Secret(BDK), Secret(b"card digest key"))
    ledger = Ledger(store or MemoryStore())
    ledger.seed_posted(read_history(write_history(contexts, shop.stored), hsm))
    return Host(ledger, hsm, booked(contexts), behaviour), ledger


def booked(contexts: tuple[Context, ...] = CONTEXTS) -> tuple[BookedTerminal, ...]:
    """The shop's terminal in the acquirer's books."""
    return (BookedTerminal("T-0001", INITIAL_KEY_ID, bytes(8), contexts),)


def settle(
    shop: Shop,
    context: int,
    outcomes: Mapping[int, Outcome] | None = None,
    dialect: Dialect = CUP,
    wanted: Collection[int] = (),
) -> Settlement:
    """The agent's conversation about one context."""
    items = {
        sequence: item for sequence, item in enumerate(shop.prepared.items, 1) if item.context == context
    }
    index = [Entry(sequence, item.kind) for sequence, item in items.items()]
    return Settlement(dialect, index, lambda sequence: items[sequence].message, outcomes or {}, wanted)


def converse(
    settlement: Settlement,
    host: Host,
    *,
    journal: dict[int, Outcome] | None = None,
    messages_max: int = 10_000,
) -> tuple[list[Event], list[bytes]]:
    """Carry messages until the conversation ends, or the agent dies when the host has had ``messages_max``.

    ``journal`` gets each outcome before the next message goes out, as the caller's contract says. Gives back the
    events and the messages that were sent, without length prefixes.
    """
    journal = {} if journal is None else journal
    seen: list[Event] = []
    sent: list[bytes] = []
    now = float(START_S + 86_400)
    settlement.connected(now)
    while True:
        events = settlement.events()
        seen += events
        journal.update({event.sequence: event.outcome for event in events if isinstance(event, Answered)})
        data = settlement.bytes_to_send(now)
        if data:
            sent.append(data[2:])
            answer = host.answer(data[2:], now)
            if len(sent) == messages_max:
                return seen, sent
            if answer is not None:
                settlement.receive(frame_message(answer), now)
            continue
        deadline = settlement.deadline()
        if deadline is None:
            return seen, sent
        now = deadline
        settlement.tick(now)
