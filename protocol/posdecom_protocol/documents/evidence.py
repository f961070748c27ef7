"""Evidence: the terminal says, slot by slot, what it destroyed. An Entity Attestation Token (RFC 9711).

Registered claims carry what every verifier of such tokens understands; private claims (below -65536) carry the rest.
The identity slots appear as *to be destroyed*: nothing can attest the erasure of the key that signs the attestation.
A signature proves what the firmware says, not what the silicon did.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ..schema import Choice, Field, Fixed, Many, Octets, Record, Text, Whole
from .kinds import CHALLENGE, DIGEST, NAME, SERIAL, TIME, VERSION, VERSION_KIND
from .order import Mode
from .seal import Tamper

EAT_PROFILE: Final = "tag:posdecom,2026:evidence/1"


class KcvMethod(IntEnum):
    """Which check value stands beside a slot; 1 to 3 as in `posdecom_protocol.kcv`."""

    NONE = 0
    """The slot was empty."""
    TDES_ZEROS = 1
    AES_ZEROS = 2
    AES_CMAC = 3
    PUBLIC_KEY = 4
    """First eight bytes of the SHA-256 of the SubjectPublicKeyInfo."""


class EraseMethod(IntEnum):
    NOT_YET = 0
    CRYPTO_ERASE = 1
    """The key that wrapped it was destroyed."""
    OVERWRITE = 2
    BLOCK_ERASE = 3
    """Programmed to zero, its block erased, spare blocks too."""


class ReadBack(IntEnum):
    NOT_DONE = 0
    EMPTY = 1
    """Read again after the erase and found empty."""
    NOT_EMPTY = 2
    WAS_EMPTY = 3


@dataclass(frozen=True, slots=True)
class SlotReport:
    slot: str
    usage: str
    """TR-31 key usage, two characters."""
    algorithm: str
    kcv_method: KcvMethod
    kcv_before: bytes
    method: EraseMethod
    read_back: ReadBack

    @property
    def is_empty(self) -> bool:
        """Erased and read back, or empty before; a report that contradicts itself is neither."""
        erased = self.read_back is ReadBack.EMPTY and self.method is not EraseMethod.NOT_YET
        return erased or (self.read_back is ReadBack.WAS_EMPTY and self.kcv_method is KcvMethod.NONE)


@dataclass(frozen=True, slots=True)
class Kept:
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Evidence:
    issued_at: int
    nonce: bytes
    """The seal's challenge."""
    boot_count: int
    ueid: bytes
    manufacturer: bytes
    model: bytes
    software: str
    software_version: tuple[str, ...]
    serial: str
    order_digest: bytes
    seal_digest: bytes
    receipt_digests: tuple[bytes, ...]
    mode: Mode
    erased_at: int
    tamper: Tamper
    slots: tuple[SlotReport, ...]
    to_be_destroyed: tuple[str, ...]
    kept: tuple[Kept, ...]
    profile: str = EAT_PROFILE
    version: int = VERSION

    @property
    def every_slot_is_empty(self) -> bool:
        """False also where no slot is reported at all."""
        return bool(self.slots) and all(slot.is_empty for slot in self.slots)


SLOT_REPORT: Final = Record(
    SlotReport,
    {
        1: Field("slot", Text(32)),
        2: Field("usage", Text(2)),
        3: Field("algorithm", Text(16)),
        4: Field("kcv_method", Choice(KcvMethod)),
        5: Field("kcv_before", Octets(8, low=0)),
        6: Field("method", Choice(EraseMethod)),
        7: Field("read_back", Choice(ReadBack)),
    },
)
KEPT: Final = Record(Kept, {1: Field("what", NAME), 2: Field("why", Text(200))})
EVIDENCE: Final = Record(
    Evidence,
    {
        6: Field("issued_at", TIME),
        10: Field("nonce", CHALLENGE),
        256: Field("ueid", Octets(33, low=7)),
        258: Field("manufacturer", Octets(16)),
        259: Field("model", Octets(32, low=1)),
        265: Field("profile", Fixed(EAT_PROFILE)),
        267: Field("boot_count", Whole(2**32 - 1)),
        270: Field("software", NAME),
        271: Field("software_version", Many(Text(32), 1, low=1)),
        -65537: Field("version", VERSION_KIND),
        -65538: Field("serial", SERIAL),
        -65539: Field("order_digest", DIGEST),
        -65540: Field("seal_digest", DIGEST),
        -65541: Field("receipt_digests", Many(DIGEST, 2)),
        -65542: Field("mode", Choice(Mode)),
        -65543: Field("erased_at", TIME),
        -65544: Field("tamper", Choice(Tamper)),
        -65545: Field("slots", Many(SLOT_REPORT, 64)),
        -65546: Field("to_be_destroyed", Many(Text(32), 8)),
        -65547: Field("kept", Many(KEPT, 32)),
    },
)
