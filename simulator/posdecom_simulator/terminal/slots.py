"""What a terminal's memory holds, and in which order it is destroyed.

Every secret has a slot here. Nothing outside this table may hold a key. A slot says once and for all which key may lie
in it (usage, algorithm, mode of use, exportability: TR-31:2018, ANSI X9.143:2021) and under which other slot's key it
travels; `keyring` refuses everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from posdecom_protocol.documents.evidence import KcvMethod as KcvMethod

KEY_BYTES: Final = {"AES-128": 16, "AES-256": 32, "TDES-2KEY": 16, "Ed25519": 32}
"""Length of a key by its slot's algorithm; TDES-2KEY is double length, parity bits included."""

SLOT_PREFIX: Final = "slot/"
"""Every secret's name in the store begins so, and no other name."""


@dataclass(frozen=True, slots=True)
class Slot:
    name: str
    usage: str
    """X9.143 key usage, two characters."""
    algorithm: str
    """One of `KEY_BYTES`."""
    mode: str
    """X9.143 mode of use, seen from the terminal."""
    kcv_method: KcvMethod
    protected_by: str | None = None
    """Name of the slot whose key opens this one's key blocks; None: loaded in the clear, in the key injection room."""
    exportability: str = "N"
    """X9.143: a terminal gives no key away."""

    @property
    def key_bytes(self) -> int:
        return KEY_BYTES[self.algorithm]

    @property
    def key(self) -> str:
        """Where the secret lies in the store."""
        return f"{SLOT_PREFIX}{self.name}"

    @property
    def kcv(self) -> str:
        """Where its check value lies, written when it was loaded."""
        return f"kcv/{self.name}"


TMK: Final = Slot("TMK", "K1", "AES-256", "D", KcvMethod.AES_CMAC)
TMK_TDES: Final = Slot("TMK-TDES", "K1", "TDES-2KEY", "D", KcvMethod.TDES_ZEROS)
"""Terminal master keys: they open key blocks of version D and of version B, and do nothing else."""

TPK: Final = Slot("TPK", "P0", "TDES-2KEY", "E", KcvMethod.TDES_ZEROS, TMK_TDES.name)
TAK: Final = Slot("TAK", "M3", "TDES-2KEY", "C", KcvMethod.TDES_ZEROS, TMK_TDES.name)
"""Retail MAC, both ways: the terminal checks the host's answers too."""
TDK: Final = Slot("TDK", "D0", "AES-128", "E", KcvMethod.AES_CMAC, TMK.name)
DUKPT: Final = Slot("DUKPT", "B1", "AES-128", "X", KcvMethod.AES_CMAC)
"""The registers of the AES-DUKPT key set; its check value is that of the initial key, which is not kept."""
DUKPT_TDES: Final = Slot("DUKPT-TDES", "B1", "TDES-2KEY", "X", KcvMethod.TDES_ZEROS)
"""The same for TDES-DUKPT."""
STORAGE: Final = Slot("STORAGE", "D0", "AES-256", "B", KcvMethod.AES_CMAC, TMK.name)
"""Data at rest."""

ERASE_ORDER: Final[tuple[Slot, ...]] = (TPK, TAK, TDK, DUKPT, DUKPT_TDES, TMK, TMK_TDES, STORAGE)
"""Session keys, DUKPT registers, key-encryption key, data-at-rest key. Account data follow, the identity is last."""

WRAP: Final = Slot("WRAP", "K0", "AES-256", "B", KcvMethod.AES_CMAC)
"""Made by the memory itself, where it keeps keys wrapped (`hardware`); goes after what it wraps. Nothing loads it."""

IDENTITY: Final[tuple[Slot, ...]] = (
    Slot("IDENTITY-CHANNEL", "S0", "Ed25519", "S", KcvMethod.PUBLIC_KEY),
    Slot("IDENTITY-ATTESTATION", "S0", "Ed25519", "S", KcvMethod.PUBLIC_KEY),
)
CHANNEL_KEY, ATTESTATION_KEY = IDENTITY

EVERY_SLOT: Final = (*ERASE_ORDER, *IDENTITY)
BY_NAME: Final = {slot.name: slot for slot in EVERY_SLOT}

# --- what is no secret, by name in the store -----------------------------------------------------

STATE: Final = "state"
"""The lifecycle record: one durable write is one transition."""
BOOT_COUNT: Final = "boot count"
DEVICE: Final = "device"
"""Serial, make, versions, contexts: `personalise.Device`."""
STAN: Final = "stan"
ACQUIRER_ANCHORS: Final = "anchors/acquirer"
CHANNEL_ANCHORS: Final = "anchors/technicians"
MAKER_ANCHORS: Final = "anchors/maker"
"""Stays for life: whose bind takes the terminal back into service when it is blank."""
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
