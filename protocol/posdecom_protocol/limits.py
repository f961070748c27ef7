"""Every bound in one place, each with its reason. A peer that exceeds one is refused before anything is allocated."""

from __future__ import annotations

from typing import Final

FRAME_BODY_BYTES_MAX: Final = 4095
"""Twelve bits of length. At 115,200 baud a frame of this size lasts 0.36 s; larger ones gain under 0.1 %."""

STREAM_WINDOW_BYTES_MAX: Final = 32 * 1024
"""Frames carry 16 bits of stream offset: half of that range tells new from old without doubt."""

MESSAGE_BYTES_MAX: Final = 128 * 1024
"""The largest message is a document with its envelope; the same bound holds for a bulk of items."""

DOCUMENT_BYTES_MAX: Final = 96 * 1024
"""A seal with 999 open pre-authorisations stays below 64 KiB; a certificate embeds the four before it."""

CERTIFICATE_DOCUMENT_BYTES_MAX: Final = 512 * 1024
"""Certificate: order, seal, two receipts, evidence byte for byte, and the case."""

CBOR_DEPTH_MAX: Final = 8
CBOR_ITEMS_MAX: Final = 40_000
"""999 pre-authorisations of at most 12 items, and the rest of a seal with room to spare."""

CONTEXTS_MAX: Final = 64
"""(acquirer, MID, TID, currency, batch) tuples in one terminal; real ones hold fewer than ten."""

RECORDS_PER_CONTEXT_MAX: Final = 999
"""ISO 8583 counters in fields 48 and 63 have three digits."""

ITEM_BYTES_MAX: Final = 2048
"""One stored message with its summary: 999 bytes of ISO 8583 fields is already unusual."""

ITEMS_MAX: Final = 200_000
"""Over all contexts: 64 * 999 records of at most three messages each, rounded up."""

CERTIFICATES_PER_CHAIN_MAX: Final = 3
"""Leaf and at most two intermediates below the anchor."""

PREAUTHS_MAX: Final = 999
