"""Which context of a seal is empty: nothing is settled for it and nothing agreed about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from document_chain import seal_body
from posdecom_protocol.documents.seal import ClassCount, SealedContext
from posdecom_protocol.money import CardGroup, GroupTotals, Tally, TransactionClass

EMPTY: SealedContext = seal_body(b"").contexts[1]
SALE, NO_SALE = (ClassCount(TransactionClass.SALE, tally) for tally in (Tally(1, 5), Tally()))
DEBIT, CREDIT = (
    GroupTotals(CardGroup.FOREIGN, debit=Tally(1, 5)),
    GroupTotals(CardGroup.FOREIGN, credit=Tally(1, 5)),
)
NO_TOTAL = GroupTotals(CardGroup.DOMESTIC)


@pytest.mark.parametrize(
    ("first", "last", "has_items"), [(6, 5, False), (1, 0, False), (6, 6, True), (6, 7, True)]
)
def test_a_context_has_items_from_its_first_to_its_last_both_included(
    first: int, last: int, has_items: bool
) -> None:
    context = replace(EMPTY, item_first=first, item_last=last)
    assert (context.has_items, context.is_empty) == (has_items, not has_items)


@pytest.mark.parametrize(
    ("holds", "is_empty"),
    [
        ({}, True),
        ({"classes": (NO_SALE,), "totals": (NO_TOTAL,)}, True),
        ({"classes": (SALE,)}, False),
        ({"classes": (NO_SALE, SALE)}, False),
        ({"classes": (ClassCount(TransactionClass.DECLINED, Tally(1, 0)),)}, False),
        ({"totals": (DEBIT,)}, False),
        ({"totals": (CREDIT,)}, False),
        ({"totals": (NO_TOTAL, CREDIT)}, False),
    ],
)
def test_a_context_is_empty_without_any_transaction_and_without_any_total(
    holds: dict[str, Any], is_empty: bool
) -> None:
    assert replace(EMPTY, **holds).is_empty is is_empty
