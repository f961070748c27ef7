"""Documents that nobody should take: from elsewhere, of before, by other hands, with other fields, damaged.

Each comes with its origin, which is what the matrix calls it. What the right hands signed for this terminal in this
epoch is not among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from functools import lru_cache
from itertools import cycle, islice
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from posdecom_protocol import cbor, cose
from posdecom_protocol.certificates import Role
from posdecom_protocol.cose import SigningKey
from posdecom_protocol.documents import SHAPES, Signed, open_any
from posdecom_simulator.authority import Authority, Subject, Validity, new_key
from posdecom_simulator.provision import seeded

from ..scene import NOW, site
from .life import attestation_key

DAY_S: Final = 86_400
BYTES_APART: Final = 5
"""Damage strikes every so many bytes."""


@dataclass(frozen=True, slots=True)
class Forgery:
    origin: str
    data: bytes


@lru_cache(maxsize=1)
def hands() -> Mapping[str, SigningKey]:
    """Everybody who can sign, by role; and somebody who made an authority of the acquirer's name."""
    here = site()
    return {
        "order": here.acquirer.order.signing_key(),
        "release": here.acquirer.release.signing_key(),
        "approver": here.acquirer.approver.signing_key(),
        "technician": here.technician.signing_key(),
        "terminal": attestation_key(1),
        "another terminal": attestation_key(2),
        "forger": _forger(),
    }


def forgeries(genuine: bytes, right: str, every: int = 1) -> Iterator[Forgery]:
    """Of one document that only the hand ``right`` may sign; each ``every``th of those that are many."""
    document = open_any(genuine)
    payload, typ = document.sign1.payload, document.sign1.typ
    wrong = [key for hand, key in hands().items() if hand != right]
    for key in wrong:
        yield Forgery("another hand", cose.sign(payload, typ, key))
    others = cycle(wrong)
    payloads = dict.fromkeys(_payload(document, body) for body in changed(document.body))
    payloads.pop(payload, None)  # a change of what is not written down
    for other in islice(payloads, 0, None, every):
        yield Forgery("field changed", _grafted(document, other))
        yield Forgery("field changed, another hand", cose.sign(other, typ, next(others)))
    for data in islice(damaged(genuine), 0, None, every):
        yield Forgery("damaged", data)


def changed(value: Any) -> Iterator[Any]:
    """``value`` with one thing in it changed, everywhere in its depth."""
    match value:
        case bool():
            yield not value
        case Enum():
            yield from (other for other in type(value) if other is not value)
        case int():
            yield value + 1
            if value:
                yield value - 1
        case str():
            yield value + "1"
        case bytes():
            yield bytes([value[0] ^ 1, *value[1:]]) if value else b"1"
            yield value[:-1]
        case tuple():
            yield (*value, *value[:1])
            for place, member in enumerate(value):
                yield value[:place] + value[place + 1 :]
                yield from ((*value[:place], other, *value[place + 1 :]) for other in changed(member))
        case _ if is_dataclass(value):
            for one in fields(value):
                for other in changed(getattr(value, one.name)):
                    yield _replaced(value, one.name, other)


def damaged(data: bytes) -> Iterator[bytes]:
    """Single bits flipped, ends cut off, something added."""
    yield data + b"\0"
    yield data[1:]
    for at in range(0, len(data), BYTES_APART):
        yield data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
        yield data[:at]


# --- private --------------------------------------------------------------------------------------------------


def _replaced(value: Any, name: str, other: Any) -> Any:
    """Also where the class would not have it: a forger asks nobody."""
    made = replace(value)
    object.__setattr__(made, name, other)
    return made


def _payload(document: Signed[Any], body: Any) -> bytes:
    packed: Callable[[Any], Any] = SHAPES[type(document.body)].record.pack
    return cbor.encode(packed(body))


def _grafted(document: Signed[Any], payload: bytes) -> bytes:
    """The changed body under the signature that was there."""
    old = document.sign1
    return cose.TAG_HEAD + cbor.encode((old.protected, {}, payload, old.signature))


def _forger() -> SigningKey:
    entropy, validity = seeded(99), Validity(NOW - DAY_S, NOW + DAY_S)
    roles = (Role.ORDER, Role.RELEASE, Role.APPROVER)
    authority, key = Authority.create("Demo Acquirer", roles, validity, entropy), new_key(entropy)
    leaf = authority.issue(key.public_key(), Subject("Demo Acquirer release"), roles, validity)
    return SigningKey(key.sign, (leaf.public_bytes(Encoding.DER),))
