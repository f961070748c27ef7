"""The end that every job must come to: complete, and the books on the acquirer's disk are the oracle's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from posdecom_simulator.acquirer.ledger import Ledger, SqliteStore
from posdecom_simulator.population import populate
from posdecom_simulator.site import SiteTerminal
from posdecom_world.oracle import Booked, Rules, books_after, differences
from real_parts import SERIAL, RealParts

RULES: Final = Rules(cutoff="991231235959", refunds_after=False, voids_preauths=False)
"""Of the order that `RealParts` writes: nothing was sold after its cut-off."""


def assert_finishes(parts: RealParts, before: Sequence[str] = ()) -> None:
    """The same command once more completes the job, and the acquirer's books are the oracle's."""
    done = parts.retire(before=before)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "complete"
    assert lost_or_doubled(parts) == []


def lost_or_doubled(parts: RealParts) -> list[str]:
    """What the oracle has to say about the books on the acquirer's disk."""
    contexts = SiteTerminal.load(parts.site / "terminals" / SERIAL).settings.contexts
    day = populate(parts.seed, parts.transactions, contexts, 0)
    store = SqliteStore(parts.folder / "acquirer" / "books.sqlite")
    ledger = Ledger(store)
    store.close()
    problems: list[str] = []
    for context in contexts:
        found = [
            Booked(one.stan, one.transaction_class.name, one.group.name, one.amount)
            for one in ledger.postings(context.tid, context.batch)
        ]
        assert found
        problems += differences(books_after(day, context.index, RULES), found, {one.stan for one in day})
    return problems
