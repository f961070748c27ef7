"""What is yet to be written after a freeze: so much memory is left free by it, and by a release. Bytes, by name.

A terminal that froze and then found no room for its receipt, or for its evidence, could neither erase nor go back to
trade. So the freeze is refused that leaves no room for either way out, and the release that leaves none for the erase.
States, counters and marks need no room, see `..memory.flash_log`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from posdecom_protocol.documents.seal import Seal, SealedContext
from posdecom_protocol.limits import DOCUMENT_BYTES_MAX, RECORDS_PER_CONTEXT_MAX
from posdecom_protocol.records import Item, ItemKind

from . import slots
from .store import Store, held

INTENT_BYTES: Final = 512
"""Three digests and one report for each slot; 426 to 460 in use."""
EVIDENCE_BYTES: Final = 1536
"""And the device certificate. 990 to 1070 in use, and worn bits are told in a line for each of three regions."""
RECEIPT_BYTES: Final = 2048
"""Digests, names (224 characters) and remark (400) of three bytes each; signature and certificates: as the order."""
RECEIPT_CONTEXT_BYTES: Final = 192
"""Two groups and five tallies, of the largest amounts."""
REFUSAL_BYTES: Final = 11
REFUSALS_MAX: Final = RECORDS_PER_CONTEXT_MAX
"""In each context of a receipt."""
REFUND_RECORD_BYTES: Final = 128
"""A record without a chip's data; 106 in use."""


def for_erase(store: Store) -> Mapping[str, int]:
    """Intent and evidence. Something always goes before the evidence comes, but it may be less."""
    certificate = held(store, slots.ATTESTATION_CERTIFICATE)
    return {slots.INTENT: INTENT_BYTES, slots.EVIDENCE: EVIDENCE_BYTES + len(certificate)}


def for_release(store: Store, order: bytes, seal: Seal) -> Mapping[str, int]:
    """Two receipts that name as many items as refused as they can, and then the erase."""
    contexts = sum(map(_context_bytes, seal.contexts))
    receipt = RECEIPT_BYTES + len(order) + contexts
    return {**dict.fromkeys(slots.RECEIPTS, min(receipt, DOCUMENT_BYTES_MAX)), **for_erase(store)}


def for_thaw(items: tuple[Item, ...]) -> Mapping[str, int]:
    """One record for each refund that the acquirer may have booked before it cancels."""
    refunds = (number for number, item in enumerate(items) if item.kind is ItemKind.REFUND)
    return {slots.transaction_name(number): REFUND_RECORD_BYTES for number in refunds}


def _context_bytes(context: SealedContext) -> int:
    refusals = min(context.item_last - context.item_first + 1, REFUSALS_MAX)
    return RECEIPT_CONTEXT_BYTES + refusals * REFUSAL_BYTES
