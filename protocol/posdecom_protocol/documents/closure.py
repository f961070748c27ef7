"""Closure: the acquirer states that its side has forgotten the terminal, and when it saw the certificate.

Technicians' certificates live 24 hours. The closure's time is what makes a certificate checkable years later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..schema import Field, Many, Octets, Record, Text, Whole
from .kinds import DIGEST, NAME, REMARK, SERIAL, TIME, VERSION, VERSION_KIND


@dataclass(frozen=True, slots=True)
class Closure:
    closure_id: str
    serial: str
    certificate_digest: bytes
    closed_at: int
    issuer: str
    ksn_denied: tuple[bytes, ...]
    """Initial key ids (8 bytes) from which no message is taken any more."""
    keys_deleted: tuple[str, ...]
    """Names of the host's copies of this terminal's keys that were deleted (TMK ...)."""
    certificates_revoked: tuple[bytes, ...]
    """Key ids of the device certificates that were revoked."""
    refunds_open: int
    remark: str
    version: int = VERSION

    @property
    def has_forgotten_the_terminal(self) -> bool:
        return bool(self.ksn_denied and self.keys_deleted and self.certificates_revoked)


CLOSURE: Final = Record(
    Closure,
    {
        1: Field("version", VERSION_KIND),
        2: Field("closure_id", Text(64)),
        3: Field("serial", SERIAL),
        4: Field("certificate_digest", DIGEST),
        5: Field("closed_at", TIME),
        6: Field("issuer", NAME),
        7: Field("ksn_denied", Many(Octets(12, low=8), 64)),
        8: Field("keys_deleted", Many(Text(32), 64)),
        9: Field("certificates_revoked", Many(Octets(8), 16)),
        10: Field("refunds_open", Whole(10**6)),
        11: Field("remark", REMARK),
    },
)
