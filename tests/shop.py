"""One shop's terminal for tests about money: its contexts, its day, its keys, and what it prepares at freeze."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from posdecom_protocol.aes_dukpt import InitialKeyId, TerminalDukpt, initial_key
from posdecom_protocol.documents.order import AfterCutoff, Preauths
from posdecom_protocol.secret import Secret
from posdecom_simulator.population import Transaction, populate
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


def open_shop(
    seed: int = 1,
    count: int = 60,
    rules: Rules = NO_CUTOFF,
    contexts: tuple[Context, ...] = CONTEXTS,
) -> Shop:
    """A day sold, stored and frozen."""
    keys = terminal_keys()
    day = populate(seed, count, contexts, START_S)
    stored = tuple(store_transaction(one, keys) for one in day)
    stans = StanCounter(day[-1].stan if day else 0)
    return Shop(day, stored, prepare(contexts, stored, keys, stans, rules))


def terminal_keys() -> TerminalDukpt:
    return TerminalDukpt.load(initial_key(Secret(BDK), INITIAL_KEY_ID), INITIAL_KEY_ID)
