"""What a terminal's memory holds, and in which order it is destroyed.

Every secret has a slot here. Nothing outside this table may hold a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from posdecom_protocol.documents.evidence import KcvMethod as KcvMethod


@dataclass(frozen=True, slots=True)
class Slot:
    name: str
    usage: str
    """TR-31 / X9.143 key usage."""
    algorithm: str
    kcv_method: KcvMethod

    @property
    def key(self) -> str:
        """Where the secret lies in the store."""
        return f"slot/{self.name}"

    @property
    def kcv(self) -> str:
        """Where its check value lies, written when it was loaded."""
        return f"kcv/{self.name}"


DUKPT: Final = Slot("DUKPT", "B1", "AES-128", KcvMethod.AES_CMAC)
"""The registers of the AES-DUKPT key set; its check value is that of the initial key, which is not kept."""

ERASE_ORDER: Final[tuple[Slot, ...]] = (
    Slot("TPK", "P0", "AES-128", KcvMethod.AES_CMAC),
    Slot("TAK", "M6", "AES-128", KcvMethod.AES_CMAC),
    Slot("TDK", "D0", "AES-128", KcvMethod.AES_CMAC),
    DUKPT,
    Slot("TMK", "K0", "AES-128", KcvMethod.AES_CMAC),
    Slot("STORAGE", "D0", "AES-256", KcvMethod.AES_CMAC),
)
"""Session keys, DUKPT registers, key-encryption key, data-at-rest key. Account data follow, the identity is last."""

IDENTITY: Final[tuple[Slot, ...]] = (
    Slot("IDENTITY-CHANNEL", "S0", "Ed25519", KcvMethod.PUBLIC_KEY),
    Slot("IDENTITY-ATTESTATION", "S0", "Ed25519", KcvMethod.PUBLIC_KEY),
)
CHANNEL_KEY, ATTESTATION_KEY = IDENTITY

# --- what is no secret, by name in the store -----------------------------------------------------

STATE: Final = "state"
"""The lifecycle record: one durable write is one transition."""
BOOT_COUNT: Final = "boot count"
DEVICE: Final = "device"
"""Serial, make, versions, contexts: `personalise.Device`."""
STAN: Final = "stan"
ACQUIRER_ANCHORS: Final = "anchors/acquirer"
CHANNEL_ANCHORS: Final = "anchors/technicians"
CHANNEL_CERTIFICATE: Final = "certificate/channel"
ATTESTATION_CERTIFICATE: Final = "certificate/attestation"
ORDER: Final = "chain/1 order"
SEAL: Final = "chain/2 seal"
RECEIPTS: Final = ("chain/3 receipt", "chain/4 receipt")
INTENT: Final = "intent"
EVIDENCE: Final = "chain/5 evidence"
TRANSACTION_PREFIX: Final = "transaction/"
ITEM_PREFIX: Final = "item/"
TAMPER_MARK: Final = "tamper"


def transaction_name(number: int) -> str:
    return f"{TRANSACTION_PREFIX}{number:06d}"


def item_name(sequence: int) -> str:
    return f"{ITEM_PREFIX}{sequence:06d}"
