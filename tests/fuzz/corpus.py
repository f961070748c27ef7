"""What goes over the line, into the journal, to host and desk in one decommission: seeds for fuzzing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from posdecom_protocol.custody import encode_custody, encode_receipts
from posdecom_world.overheard import Heard, overhear

SEED: Final = 3
RECORDS: Final = 4


def corpus() -> Heard:
    return overhear(SEED, RECORDS)


def custody() -> Iterable[bytes]:
    """As the desk is asked for receipts, and as it answers."""
    heard = corpus()
    (order,), (seal,) = heard.bodies("order"), heard.bodies("seal")
    yield b"".join(encode_custody(order, seal, heard.bodies("item")))
    yield encode_receipts(heard.bodies("receipt"))
