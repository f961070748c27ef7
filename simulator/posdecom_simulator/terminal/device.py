"""What a terminal knows of itself that is no secret, and its lifecycle record, as they lie in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from posdecom_protocol import cbor
from posdecom_protocol.documents.kinds import BATCH, CONTEXT_INDEX, CURRENCY, DIGEST, NAME, SERIAL
from posdecom_protocol.documents.order import Account
from posdecom_protocol.lifecycle import LifecycleState, step
from posdecom_protocol.limits import CONTEXTS_MAX
from posdecom_protocol.schema import Choice, Field, Many, Octets, Record, Text, Whole


@dataclass(frozen=True, slots=True)
class Context:
    """One (acquirer, MID, TID, currency) that the terminal trades for, with its open batch."""

    index: int
    acquirer: str
    mid: str
    tid: str
    currency: int
    batch: int
    dialect: str

    @property
    def account(self) -> Account:
        return Account(self.acquirer, self.mid, self.tid)


@dataclass(frozen=True, slots=True)
class Device:
    serial: str
    manufacturer: str
    model: str
    software_version: str
    ueid: bytes
    oem_id: bytes
    contexts: tuple[Context, ...]

    def with_batches(self, batches: Mapping[int, int]) -> Device:
        """The device with new batch numbers for some contexts, by index."""
        contexts = tuple(replace(one, batch=batches.get(one.index, one.batch)) for one in self.contexts)
        return replace(self, contexts=contexts)


@dataclass(frozen=True, slots=True)
class Counter:
    """The last order counter that was taken from one issuer."""

    issuer_id: bytes
    counter: int


@dataclass(frozen=True, slots=True)
class Life:
    """The lifecycle record. Writing it is the transition: whatever else a transition needs is written before."""

    state: LifecycleState
    counters: tuple[Counter, ...] = ()
    last_record_at: int = 0
    """Terminal's time of the newest transaction, seconds since 1970."""

    def counter_of(self, issuer_id: bytes) -> int:
        return next((one.counter for one in self.counters if one.issuer_id == issuer_id), 0)

    def to(self, state: LifecycleState) -> Life:
        """This life in ``state``; `LocalError` where the table has no such transition."""
        return replace(self, state=step(self.state, state))

    def frozen(self, issuer_id: bytes, counter: int) -> Life:
        others = tuple(one for one in self.counters if one.issuer_id != issuer_id)
        return replace(self.to(LifecycleState.FROZEN), counters=(*others, Counter(issuer_id, counter)))


_CONTEXT: Final = Record(
    Context,
    {
        1: Field("index", CONTEXT_INDEX),
        2: Field("acquirer", Text(32)),
        3: Field("mid", Text(15)),
        4: Field("tid", Text(8)),
        5: Field("currency", CURRENCY),
        6: Field("batch", BATCH),
        7: Field("dialect", Text(16)),
    },
)
_DEVICE: Final = Record(
    Device,
    {
        1: Field("serial", SERIAL),
        2: Field("manufacturer", NAME),
        3: Field("model", NAME),
        4: Field("software_version", NAME),
        5: Field("ueid", Octets(33, low=7)),
        6: Field("oem_id", Octets(16)),
        7: Field("contexts", Many(_CONTEXT, CONTEXTS_MAX)),
    },
)
_COUNTER: Final = Record(Counter, {1: Field("issuer_id", DIGEST), 2: Field("counter", Whole(2**63 - 1))})
_LIFE: Final = Record(
    Life,
    {
        1: Field("state", Choice(LifecycleState)),
        2: Field("counters", Many(_COUNTER, 64)),
        3: Field("last_record_at", Whole(2**40)),
    },
)


_REMEMBERED: Final = 8
"""A terminal looks at its state with every request, and it rarely changes."""


def encode_device(device: Device) -> bytes:
    return cbor.encode(_DEVICE.pack(device))


@lru_cache(maxsize=_REMEMBERED)
def decode_device(data: bytes) -> Device:
    return _DEVICE.unpack(cbor.decode(data, "device"), "device")


def encode_life(life: Life) -> bytes:
    return cbor.encode(_LIFE.pack(life))


@lru_cache(maxsize=_REMEMBERED)
def decode_life(data: bytes) -> Life:
    return _LIFE.unpack(cbor.decode(data, "life"), "life")
