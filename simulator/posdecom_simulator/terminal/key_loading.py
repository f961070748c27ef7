"""Keys on their way into a terminal's slots, and what is refused on the way. Knows no operation with them.

* In the clear, in the key injection room: terminal master keys, DUKPT initial keys, identity keys. Of an initial key
  only the registers stay that are made from it.
* As key blocks (TR-31:2018, ANSI X9.143:2021), anywhere: everything else. Version D under the AES master key, version B
  under the TDES one; A and C are deprecated and refused. What the block says of its key must be what the slot says.

A slot that is loaded again loses its former key. Each check value is written after its key.

Working copies are wiped; what the store's own seam (``bytes``) copied is the garbage collector's, until the process
ends. That is why a terminal restarts as a fresh process image after an erase.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from posdecom_protocol.aes_dukpt import InitialKeyId, TerminalDukpt
from posdecom_protocol.certificates import key_id
from posdecom_protocol.errors import PosdecomError
from posdecom_protocol.kcv import KcvMethod, kcv
from posdecom_protocol.secret import Secret, wipe
from posdecom_protocol.tdes_dukpt import InitialKsn, TdesTerminalDukpt
from posdecom_protocol.tr31 import unwrap_key_block
from posdecom_protocol.tr31_header import (
    Exportability,
    KeyBlockAlgorithm,
    KeyBlockHeader,
    KeyBlockUsage,
    KeyBlockVersion,
    ModeOfUse,
)

from . import slots
from .slots import Slot
from .store import Store

INITIAL_KEY_USAGE: Final = "B1"

BLOCK_VERSION: Final = {
    slots.TMK.name: KeyBlockVersion.AES_DERIVATION,
    slots.TMK_TDES.name: KeyBlockVersion.TDES_DERIVATION,
}
"""By protecting slot: the only version of key block that is taken under its key."""

BLOCK_ALGORITHM: Final = {
    "AES-128": KeyBlockAlgorithm.AES,
    "AES-256": KeyBlockAlgorithm.AES,
    "TDES-2KEY": KeyBlockAlgorithm.TDES,
}


class Why(Enum):
    """Why a slot or its key is not to be had for something."""

    EMPTY = "is empty"
    PROTECTION = "is not loaded this way"
    VERSION = "takes another version of key block"
    USAGE = "is for another usage"
    MODE = "is for another mode of use"
    ALGORITHM = "is for another algorithm or length of key"
    EXPORTABILITY = "takes no key that may leave it"


class KeyRefused(PosdecomError):
    """A slot does not do this. The message names the slot and the reason."""

    def __init__(self, slot: Slot, why: Why) -> None:
        super().__init__(f"slot {slot.name} {why.value}")
        self.slot = slot
        self.why = why


def block_header(slot: Slot) -> KeyBlockHeader:
    """What a key block says of a key for ``slot``, which must have a protecting slot."""
    return KeyBlockHeader(
        version=BLOCK_VERSION[_protecting(slot).name],
        usage=KeyBlockUsage(slot.usage),
        algorithm=BLOCK_ALGORITHM[slot.algorithm],
        mode=ModeOfUse(slot.mode),
        exportability=Exportability(slot.exportability),
    )


def load_master_key(store: Store, slot: Slot, key: Secret) -> None:
    """Put a clear master key into ``slot``; the caller wipes his copy."""
    _require(slot.name in BLOCK_VERSION, slot, Why.PROTECTION)
    _require(len(key) == slot.key_bytes, slot, Why.ALGORITHM)
    _put(store, slot, key)


def load_initial_key(store: Store, slot: Slot, key: Secret, key_set: bytes) -> None:
    """Start a DUKPT key set from its clear initial key, which is not kept; the caller wipes his copy.

    ``key_set``: initial key id (8 bytes) for AES, initial KSN (10 bytes) for TDES.
    """
    _require(slot.usage == INITIAL_KEY_USAGE, slot, Why.PROTECTION)
    _require(len(key) == slot.key_bytes, slot, Why.ALGORITHM)
    registers = (
        TerminalDukpt.load(key, InitialKeyId(key_set))
        if slot is slots.DUKPT
        else TdesTerminalDukpt.load(key, InitialKsn(key_set))
    )
    state = registers.export_state()
    registers.wipe()
    store.put({slot.key: bytes(state)})
    wipe(state)
    _put_check_value(store, slot, key)


def load_identity_key(store: Store, slot: Slot, key: Secret, certificate: bytes) -> None:
    """Put an Ed25519 key (32 bytes) into ``slot``; its check value is that of the certified public key."""
    _require(slot in slots.IDENTITY, slot, Why.PROTECTION)
    _require(len(key) == slot.key_bytes, slot, Why.ALGORITHM)
    store.put({slot.key: bytes(key.data), slot.kcv: key_id(certificate)})


def load_block(store: Store, slot: Slot, text: str) -> None:
    """Put the key of a key block into ``slot``.

    `KeyRefused` if the master key is not there or the block is not for this slot, `KeyMaterialError` if it is
    malformed, forged or under another key.
    """
    expected = block_header(slot)
    with held_key(store, _protecting(slot)) as master:
        key_block = unwrap_key_block(master, text)
    with key_block.key as key:
        _check_header(slot, key_block.header, expected)
        _require(len(key) == slot.key_bytes, slot, Why.ALGORITHM)
        _put(store, slot, key)


def held_key(store: Store, slot: Slot) -> Secret:
    """A copy of what lies in ``slot``, for one use; the caller wipes it. `KeyRefused` where nothing does."""
    value = store.get(slot.key)
    if value is None:
        raise KeyRefused(slot, Why.EMPTY)
    return Secret(value)


def _protecting(slot: Slot) -> Slot:
    if slot.protected_by is None:
        raise KeyRefused(slot, Why.PROTECTION)
    return slots.BY_NAME[slot.protected_by]


def _check_header(slot: Slot, header: KeyBlockHeader, expected: KeyBlockHeader) -> None:
    _require(header.version is expected.version, slot, Why.VERSION)
    _require(header.usage is expected.usage, slot, Why.USAGE)
    _require(header.mode is expected.mode, slot, Why.MODE)
    _require(header.algorithm is expected.algorithm, slot, Why.ALGORITHM)
    _require(header.exportability is expected.exportability, slot, Why.EXPORTABILITY)


def _put(store: Store, slot: Slot, key: Secret) -> None:
    store.put({slot.key: bytes(key.data)})
    _put_check_value(store, slot, key)


def _put_check_value(store: Store, slot: Slot, key: Secret) -> None:
    store.put({slot.kcv: kcv(key, KcvMethod(slot.kcv_method))})


def _require(holds: bool, slot: Slot, why: Why) -> None:
    if not holds:
        raise KeyRefused(slot, why)
