"""AES-DUKPT (ANSI X9.24-3:2017): one key per transaction, both sides. No clock, no randomness, no storage.

Every key of the tree is AES-ECB of its parent over derivation data that name usage, algorithm and counter. The
key of counter ``c`` is the child of the key of ``c & (c - 1)``, which has its lowest one bit cleared; a counter
has at most 16 one bits.

`HostDukpt` knows the initial key and finds any key. It keeps the ancestors of the last one on a stack, as keyed
encryptors: setting one up costs twenty times what a block does, and the next KSN needs nearly all of them
again. `TerminalDukpt` never holds the key of a spent counter, nor anything from which it could be found.

Not here: other algorithms than AES-128 and AES-256, key check values, PIN blocks.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NewType

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from .errors import ExhaustedError, KeyMaterialError, LocalError
from .protection import MessageKeys
from .secret import BytesLike, Secret, wipe

InitialKeyId = NewType("InitialKeyId", bytes)
"""8 bytes: BDK id (4) and derivation id (4); names one terminal's key set."""

INITIAL_KEY_ID_BYTES: Final = 8
KSN_BYTES: Final = 12
REGISTERS: Final = 32
"""One intermediate derivation key for each bit of the counter."""
COUNTER_ONES_MAX: Final = 16
COUNTER_MAX: Final = 0xFFFF_0000
"""The last counter with no more than 16 one bits."""
UPDATE_COUNTER: Final = 0xFFFF_FFFF
"""Reserved for the key under which a new initial key travels; no transaction has it."""


class KeyUsage(IntEnum):
    """Key usage indicator of the derivation data, seen from the terminal."""

    KEY_ENCRYPTION = 0x0002
    PIN_ENCRYPTION = 0x1000
    MAC_GENERATION = 0x2000
    MAC_VERIFICATION = 0x2001
    MAC_BOTH_WAYS = 0x2002
    DATA_ENCRYPTION = 0x3000
    DATA_DECRYPTION = 0x3001
    DATA_BOTH_WAYS = 0x3002
    KEY_DERIVATION = 0x8000
    INITIAL_KEY = 0x8001


class KeyType(IntEnum):
    """Algorithm indicator of the derivation data."""

    AES_128 = 0x0002
    AES_256 = 0x0004

    @property
    def key_bytes(self) -> int:
        return KEY_BYTES[self]


KEY_BYTES: Final[dict[KeyType, int]] = {KeyType.AES_128: 16, KeyType.AES_256: 32}


_STATE: Final = struct.Struct(">8sHI")
"""Head of an exported state; see `TerminalDukpt.export_state`."""


@dataclass(frozen=True, slots=True)
class Ksn:
    """Key serial number as sent with a message: initial key id (8 bytes) and transaction counter."""

    initial_key_id: InitialKeyId
    counter: int
    """1 to `COUNTER_MAX`, at most 16 one bits."""

    def __post_init__(self) -> None:
        if len(self.initial_key_id) != INITIAL_KEY_ID_BYTES:
            raise KeyMaterialError(
                f"initial key id of {len(self.initial_key_id)} bytes; {INITIAL_KEY_ID_BYTES}"
            )
        if not 1 <= self.counter <= COUNTER_MAX or self.counter.bit_count() > COUNTER_ONES_MAX:
            raise KeyMaterialError("KSN with a counter that no terminal reaches")

    def encode(self) -> bytes:
        """12 bytes, the counter big-endian."""
        return self.initial_key_id + self.counter.to_bytes(4, "big")

    @classmethod
    def decode(cls, data: BytesLike) -> Ksn:
        """Inverse of `encode`; `KeyMaterialError` for another length or a counter over 16 one bits."""
        if len(data) != KSN_BYTES:
            raise KeyMaterialError(f"KSN of {len(data)} bytes; {KSN_BYTES}")
        return cls(InitialKeyId(bytes(data[:8])), int.from_bytes(data[8:], "big"))


MESSAGE_USAGES: Final = (KeyUsage.MAC_GENERATION, KeyUsage.DATA_ENCRYPTION)


def initial_key(bdk: Secret, initial_key_id: InitialKeyId) -> Secret:
    """The key that is injected into one terminal (X9.24-3 6.3.1), as long as the ``bdk``: 16 or 32 bytes."""
    key_type = _type_of(bdk)
    purpose = _purpose(KeyUsage.INITIAL_KEY, key_type)
    (key,) = _derive(_keyed(bdk), [block + initial_key_id for block in purpose], key_type)
    return key


class HostDukpt:
    """The acquirer's side of one terminal's key set: the keys of any KSN, cheapest in sequence."""

    def __init__(self, initial_key: Secret, initial_key_id: InitialKeyId) -> None:
        self.initial_key_id: Final = initial_key_id
        self._key_type: Final = _type_of(initial_key)
        self._tree: Final = _Tree(initial_key_id, self._key_type)
        self._ancestors: list[tuple[int, CipherContext]] = [(0, _keyed(initial_key))]
        """From the initial key down to the last key used: counters, each a prefix of the next. At most 33."""

    @classmethod
    def from_bdk(cls, bdk: Secret, initial_key_id: InitialKeyId) -> HostDukpt:
        with initial_key(bdk, initial_key_id) as key:
            return cls(key, initial_key_id)

    def message_keys(self, ksn: Ksn) -> MessageKeys:
        """MAC and data key under which the terminal protected the message with this ``ksn``."""
        return MessageKeys(*self.working_keys(ksn, MESSAGE_USAGES))

    def working_keys(
        self, ksn: Ksn, usages: Sequence[KeyUsage], key_type: KeyType | None = None
    ) -> tuple[Secret, ...]:
        """One key per usage; ``key_type`` (default: as the initial key) may not be stronger than it.

        `KeyMaterialError` if ``ksn`` belongs to another terminal.
        """
        if ksn.initial_key_id != self.initial_key_id:
            raise KeyMaterialError("KSN of another initial key")
        return self._tree.working_keys(self._transaction(ksn.counter), ksn.counter, usages, key_type)

    def update_key(self, key_type: KeyType | None = None) -> Secret:
        """The key-encryption key under which the terminal's next initial key travels (counter FFFFFFFF)."""
        usages = (KeyUsage.KEY_ENCRYPTION,)
        (key,) = self._tree.working_keys(self._transaction(UPDATE_COUNTER), UPDATE_COUNTER, usages, key_type)
        return key

    def wipe(self) -> None:
        """Forget every key; the object is of no use afterwards (`LocalError`)."""
        self._ancestors.clear()

    def __repr__(self) -> str:
        return f"HostDukpt({self._key_type.name})"

    def _transaction(self, counter: int) -> CipherContext:
        """Encryptor under the transaction key of ``counter``; the ancestors on its way join the stack."""
        if not self._ancestors:
            raise LocalError("the key set is wiped")
        while not _is_prefix(self._ancestors[-1][0], counter):
            self._ancestors.pop()
        reached, encryptor = self._ancestors[-1]
        while reached != counter:
            reached |= 1 << ((counter ^ reached).bit_length() - 1)
            with self._tree.child(encryptor, reached) as key:
                encryptor = _keyed(key)
            self._ancestors.append((reached, encryptor))
        return encryptor


class TerminalDukpt:
    """The terminal's side: at most 32 registers, one for each bit, holding the next key with that lowest one bit.

    A key set is started once with `load` and continued from `export_state`. Spending a key erases its register
    before the working keys are handed out. **Store `export_state` durably before anything protected by those keys
    leaves the terminal**: only that makes a counter unique across a power cut.
    """

    def __init__(self, initial_key_id: InitialKeyId, key_type: KeyType, registers: dict[int, Secret]) -> None:
        """For `load` and `import_state`. ``registers``: transaction keys by counter, none of them spent."""
        self.initial_key_id: Final = initial_key_id
        self._key_type: Final = key_type
        self._tree: Final = _Tree(initial_key_id, key_type)
        self._registers: Final = registers

    @classmethod
    def load(cls, initial_key: Secret, initial_key_id: InitialKeyId) -> TerminalDukpt:
        """Fill the registers from the initial key (16 or 32 bytes), which the caller then wipes."""
        terminal = cls(initial_key_id, _type_of(initial_key), {})
        terminal._fill(_keyed(initial_key), 0, REGISTERS)
        return terminal

    @classmethod
    def import_state(cls, state: BytesLike) -> TerminalDukpt:
        """Continue from `export_state`; `KeyMaterialError` if it is none."""
        if len(state) < _STATE.size:
            raise KeyMaterialError(f"AES-DUKPT state of {len(state)} bytes")
        initial_key_id, algorithm, counter = _STATE.unpack_from(state)
        if algorithm not in KEY_BYTES:
            raise KeyMaterialError("AES-DUKPT state with an unknown algorithm")
        key_type = KeyType(algorithm)
        if len(state) != _STATE.size + REGISTERS * key_type.key_bytes:
            raise KeyMaterialError(f"AES-DUKPT state of {len(state)} bytes for {key_type.name}")
        slots = _split(memoryview(state)[_STATE.size :], key_type.key_bytes)
        held = _held_counters(Ksn(initial_key_id, counter).counter) if counter else []
        return cls(initial_key_id, key_type, {one: Secret(slots[_lowest_bit(one)]) for one in held})

    @property
    def next_counter(self) -> int | None:
        """The counter that the next transaction will have; None when every one is spent, or the keys wiped."""
        return min(self._registers, default=None)

    def next_message_keys(self) -> tuple[Ksn, MessageKeys]:
        """Spend the next counter: its KSN, its MAC key and its data key. `ExhaustedError` after the last."""
        ksn, keys = self.next_working_keys(MESSAGE_USAGES)
        return ksn, MessageKeys(*keys)

    def next_working_keys(
        self, usages: Sequence[KeyUsage], key_type: KeyType | None = None
    ) -> tuple[Ksn, tuple[Secret, ...]]:
        """Spend the next counter: its KSN and one key per usage. `ExhaustedError` after the last."""
        counter = self.next_counter
        if counter is None:
            raise ExhaustedError("AES-DUKPT: no counter is left")
        transaction = self._spend(counter)
        keys = self._tree.working_keys(transaction, counter, usages, key_type)
        return Ksn(self.initial_key_id, counter), keys

    def export_state(self) -> bytearray:
        """The whole key set for a store to hold, of fixed length; wipe the buffer after storing it.

        Initial key id 8, algorithm 2, next counter 4 (0 when none is left), 32 registers (zeros where empty): 526
        bytes with AES-128, 1038 with AES-256.
        """
        size = self._key_type.key_bytes
        state = bytearray(_STATE.size + REGISTERS * size)
        _STATE.pack_into(state, 0, self.initial_key_id, self._key_type, self.next_counter or 0)
        for counter, key in self._registers.items():
            start = _STATE.size + _lowest_bit(counter) * size
            state[start : start + size] = key.data
        return state

    def wipe(self) -> None:
        """Erase every register: no key comes out any more."""
        while self._registers:
            self._registers.popitem()[1].wipe()

    def __repr__(self) -> str:
        return f"TerminalDukpt({self._key_type.name})"

    def _spend(self, counter: int) -> CipherContext:
        """Erase the key of ``counter`` after its children have taken the registers below, which are all empty."""
        with self._registers.pop(counter) as key:
            transaction = _keyed(key)
        if counter.bit_count() < COUNTER_ONES_MAX:
            self._fill(transaction, counter, _lowest_bit(counter))
        return transaction

    def _fill(self, parent: CipherContext, parent_counter: int, registers: int) -> None:
        for bit in range(registers):
            counter = parent_counter | 1 << bit
            self._registers[counter] = self._tree.child(parent, counter)


def _held_counters(next_counter: int) -> list[int]:
    """The counters whose keys are in the registers when ``next_counter`` is the lowest of them."""
    prefixes = [(bit, next_counter - 1 >> bit) for bit in range(REGISTERS)]
    return [
        (prefix | 1) << bit
        for bit, prefix in prefixes
        if not prefix & 1 and prefix.bit_count() < COUNTER_ONES_MAX
    ]


class _Tree:
    """How keys of one key set descend from each other: the derivation data, prepared up to the counter."""

    def __init__(self, initial_key_id: InitialKeyId, key_type: KeyType) -> None:
        if len(initial_key_id) != INITIAL_KEY_ID_BYTES:
            raise LocalError(f"initial key id of {len(initial_key_id)} bytes; {INITIAL_KEY_ID_BYTES}")
        self._key_type: Final = key_type
        self._tail: Final = initial_key_id[4:]
        self._child: Final = self._blocks((KeyUsage.KEY_DERIVATION,), key_type)
        self._working: Final[dict[tuple[tuple[KeyUsage, ...], KeyType], list[bytes]]] = {}

    def child(self, parent: CipherContext, counter: int) -> Secret:
        """The intermediate derivation (or transaction) key of ``counter`` under its ``parent``."""
        counter_bytes = counter.to_bytes(4, "big")
        (key,) = _derive(parent, [block + counter_bytes for block in self._child], self._key_type)
        return key

    def working_keys(
        self, transaction: CipherContext, counter: int, usages: Sequence[KeyUsage], key_type: KeyType | None
    ) -> tuple[Secret, ...]:
        key_type = key_type or self._key_type
        if key_type > self._key_type:
            raise LocalError(f"{key_type.name} working key under {self._key_type.name}")
        blocks = self._working.get((tuple(usages), key_type))
        if blocks is None:
            blocks = self._working[tuple(usages), key_type] = self._blocks(usages, key_type)
        counter_bytes = counter.to_bytes(4, "big")
        return _derive(transaction, [block + counter_bytes for block in blocks], key_type)

    def _blocks(self, usages: Sequence[KeyUsage], key_type: KeyType) -> list[bytes]:
        return [head + self._tail for usage in usages for head in _purpose(usage, key_type)]


def _purpose(usage: KeyUsage, key_type: KeyType) -> list[bytes]:
    """The first half of the derivation data, 8 bytes for each 16 bytes of key: version 01, block, usage,
    algorithm, length in bits (X9.24-3 6.2)."""
    blocks = range(1, key_type.key_bytes // 16 + 1)
    return [struct.pack(">BBHHH", 1, block, usage, key_type, 8 * key_type.key_bytes) for block in blocks]


def _derive(parent: CipherContext, blocks: Sequence[bytes], key_type: KeyType) -> tuple[Secret, ...]:
    """All keys in one call of the cipher: the call costs more than its blocks."""
    data = b"".join(blocks)
    out = bytearray(len(data) + 15)  # the library insists on room for a padded block
    parent.update_into(data, out)
    keys = tuple(Secret(key) for key in _split(memoryview(out)[: len(data)], key_type.key_bytes))
    wipe(out)
    return keys


def _split(view: memoryview, size: int) -> list[memoryview]:
    return [view[at : at + size] for at in range(0, len(view), size)]


def _keyed(key: Secret) -> CipherContext:
    return Cipher(AES(key.data), ECB()).encryptor()


def _type_of(key: Secret) -> KeyType:
    for key_type, size in KEY_BYTES.items():
        if len(key) == size:
            return key_type
    raise LocalError(f"AES-DUKPT key of {len(key)} bytes; 16 or 32")


def _is_prefix(ancestor: int, counter: int) -> bool:
    """Whether ``ancestor`` is ``counter`` with some of its lowest one bits cleared, or all, or none."""
    return counter & -(ancestor & -ancestor) == ancestor


def _lowest_bit(counter: int) -> int:
    return (counter & -counter).bit_length() - 1
