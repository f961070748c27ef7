"""AES-DUKPT (ANSI X9.24-3:2017): one key per transaction, both sides. No clock, no randomness, no storage.

Every key is AES-ECB of its parent (see `dukpt_tree`) over derivation data that name usage, algorithm and counter.
`HostDukpt` knows the initial key and finds any key. It keeps the way to the last one as keyed encryptors: setting
one up costs twenty times what a block does, and the next KSN needs nearly all of them again. `TerminalDukpt`
never holds the key of a spent counter, nor anything from which it could be found.

Not here: other algorithms than AES-128 and AES-256, key check values, PIN blocks.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Final, NewType

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from .dukpt_tree import Ancestors, CounterShape, KeyRegisters
from .errors import KeyMaterialError, LocalError
from .protection import MessageKeys
from .secret import BytesLike, Secret, wipe

InitialKeyId = NewType("InitialKeyId", bytes)
"""8 bytes: BDK id (4) and derivation id (4); names one terminal's key set."""

INITIAL_KEY_ID_BYTES: Final = 8
KSN_BYTES: Final = 12
COUNTERS: Final = CounterShape(bits=32, ones_max=16)
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
    """1 to FFFF0000, at most 16 one bits."""

    def __post_init__(self) -> None:
        if len(self.initial_key_id) != INITIAL_KEY_ID_BYTES:
            raise KeyMaterialError(
                f"initial key id of {len(self.initial_key_id)} bytes; {INITIAL_KEY_ID_BYTES}"
            )
        COUNTERS.check(self.counter)

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
    """The key that is injected into one terminal (usage 8001), as long as the ``bdk``: 16 or 32 bytes."""
    if len(initial_key_id) != INITIAL_KEY_ID_BYTES:
        raise LocalError(f"initial key id of {len(initial_key_id)} bytes; {INITIAL_KEY_ID_BYTES}")
    (key,) = _Request((KeyUsage.INITIAL_KEY,), _type_of(bdk)).keys(_keyed(bdk.data), initial_key_id)
    return key


class HostDukpt:
    """The acquirer's side of one terminal's key set: the keys of any KSN, cheapest in sequence."""

    def __init__(self, initial_key: Secret, initial_key_id: InitialKeyId) -> None:
        self.initial_key_id: Final = initial_key_id
        self._derivation: Final = _Derivation(initial_key_id, _type_of(initial_key))
        self._ancestors: Final = Ancestors(_keyed(initial_key.data), self._derivation.child_encryptor)

    @classmethod
    def from_bdk(cls, bdk: Secret, initial_key_id: InitialKeyId) -> HostDukpt:
        with initial_key(bdk, initial_key_id) as key:
            return cls(key, initial_key_id)

    def message_keys(self, ksn: Ksn) -> MessageKeys:
        """MAC and data key under which the terminal protected the message with this ``ksn``."""
        return MessageKeys(*self.working_keys(ksn, MESSAGE_USAGES))

    def working_keys(
        self, ksn: Ksn, usages: tuple[KeyUsage, ...], key_type: KeyType | None = None
    ) -> tuple[Secret, ...]:
        """One key per usage; ``key_type`` (default: as the initial key) may not be stronger than it.

        `KeyMaterialError` if ``ksn`` belongs to another terminal.
        """
        if ksn.initial_key_id != self.initial_key_id:
            raise KeyMaterialError("KSN of another initial key")
        transaction = self._ancestors.reach(ksn.counter)
        return self._derivation.working_keys(transaction, ksn.counter, usages, key_type)

    def update_key(self, key_type: KeyType | None = None) -> Secret:
        """The key-encryption key under which the terminal's next initial key travels (counter FFFFFFFF)."""
        transaction = self._ancestors.reach(UPDATE_COUNTER)
        usages = (KeyUsage.KEY_ENCRYPTION,)
        (key,) = self._derivation.working_keys(transaction, UPDATE_COUNTER, usages, key_type)
        return key

    def wipe(self) -> None:
        """Forget every key; the object is of no use afterwards (`LocalError`)."""
        self._ancestors.wipe()

    def __repr__(self) -> str:
        return f"HostDukpt({self._derivation.key_type.name})"


class TerminalDukpt:
    """The terminal's side: 32 registers of future keys, and never the initial key.

    A key set is started once with `load` and continued from `export_state`. Spending a key erases its register
    before the working keys are handed out. **Store `export_state` durably before anything protected by those keys
    leaves the terminal**: only that makes a counter unique across a power cut.
    """

    def __init__(self, initial_key_id: InitialKeyId, key_type: KeyType) -> None:
        """For `load` and `import_state`: a terminal with empty registers."""
        self.initial_key_id: Final = initial_key_id
        self._derivation: Final = _Derivation(initial_key_id, key_type)
        self._registers: Final = KeyRegisters(COUNTERS, key_type.key_bytes)

    @classmethod
    def load(cls, initial_key: Secret, initial_key_id: InitialKeyId) -> TerminalDukpt:
        """Fill the registers from the initial key (16 or 32 bytes), which the caller then wipes."""
        terminal = cls(initial_key_id, _type_of(initial_key))
        terminal._registers.start(partial(terminal._derivation.child, _keyed(initial_key.data)))
        return terminal

    @classmethod
    def import_state(cls, state: BytesLike) -> TerminalDukpt:
        """Continue from `export_state`; `KeyMaterialError` if it is none."""
        if len(state) < _STATE.size:
            raise KeyMaterialError(f"AES-DUKPT state of {len(state)} bytes")
        initial_key_id, algorithm, next_counter = _STATE.unpack_from(state)
        if algorithm not in KEY_BYTES:
            raise KeyMaterialError("AES-DUKPT state with an unknown algorithm")
        terminal = cls(InitialKeyId(initial_key_id), KeyType(algorithm))
        if len(state) != _STATE.size + terminal._registers.size_bytes:
            raise KeyMaterialError(f"AES-DUKPT state of {len(state)} bytes for its algorithm")
        terminal._registers.read(memoryview(state)[_STATE.size :], next_counter)
        return terminal

    def export_state(self) -> bytearray:
        """The whole key set for a store to hold, of fixed length; wipe the buffer after storing it.

        Initial key id 8, algorithm 2, next counter 4 (0 when none is left), 32 registers (zeros where empty): 526
        bytes with AES-128, 1038 with AES-256.
        """
        state = bytearray(_STATE.size + self._registers.size_bytes)
        _STATE.pack_into(state, 0, self.initial_key_id, self._derivation.key_type, self.next_counter or 0)
        self._registers.write(memoryview(state)[_STATE.size :])
        return state

    @property
    def next_counter(self) -> int | None:
        """The counter that the next transaction will have; None when every one is spent, or the keys wiped."""
        return self._registers.next_counter

    def next_message_keys(self) -> tuple[Ksn, MessageKeys]:
        """Spend the next counter: its KSN, its MAC key and its data key. `ExhaustedError` after the last."""
        ksn, keys = self.next_working_keys(MESSAGE_USAGES)
        return ksn, MessageKeys(*keys)

    def next_working_keys(
        self, usages: tuple[KeyUsage, ...], key_type: KeyType | None = None
    ) -> tuple[Ksn, tuple[Secret, ...]]:
        """Spend the next counter: its KSN and one key per usage. `ExhaustedError` after the last."""
        counter, key = self._registers.take()
        with key:
            transaction = _keyed(key.data)
        self._registers.refill(counter, partial(self._derivation.child, transaction))
        keys = self._derivation.working_keys(transaction, counter, usages, key_type)
        return Ksn(self.initial_key_id, counter), keys

    def wipe(self) -> None:
        """Erase every register: no key comes out any more."""
        self._registers.wipe()

    def __repr__(self) -> str:
        return f"TerminalDukpt({self._derivation.key_type.name})"


class _Derivation:
    """Derivation within one key set: which data, and the cipher over them."""

    def __init__(self, initial_key_id: InitialKeyId, key_type: KeyType) -> None:
        if len(initial_key_id) != INITIAL_KEY_ID_BYTES:
            raise LocalError(f"initial key id of {len(initial_key_id)} bytes; {INITIAL_KEY_ID_BYTES}")
        self.key_type: Final = key_type
        self._middle: Final = initial_key_id[4:]
        self._child: Final = _Request((KeyUsage.KEY_DERIVATION,), key_type, self._middle)
        self._requests: Final[dict[tuple[tuple[KeyUsage, ...], KeyType | None], _Request]] = {}

    def child(self, parent: CipherContext, counter: int) -> Secret:
        """The intermediate derivation (or transaction) key of ``counter`` under its ``parent``."""
        (key,) = self._child.keys(parent, counter.to_bytes(4, "big"))
        return key

    def child_encryptor(self, parent: CipherContext, counter: int) -> CipherContext:
        key = self._child.derive(parent, counter.to_bytes(4, "big"))
        encryptor = _keyed(key)
        wipe(key)
        return encryptor

    def working_keys(
        self,
        transaction: CipherContext,
        counter: int,
        usages: tuple[KeyUsage, ...],
        key_type: KeyType | None,
    ) -> tuple[Secret, ...]:
        request = self._requests.get((usages, key_type))
        if request is None:
            request = self._requests[usages, key_type] = self._request(usages, key_type or self.key_type)
        return request.keys(transaction, counter.to_bytes(4, "big"))

    def _request(self, usages: tuple[KeyUsage, ...], key_type: KeyType) -> _Request:
        if not usages:
            raise LocalError("no key usage is named")
        if key_type > self.key_type:
            raise LocalError(f"{key_type.name} working key under {self.key_type.name}")
        return _Request(usages, key_type, self._middle)


class _Request:
    """Derivation data of some keys, prepared up to what differs: they are asked for thousands of times."""

    def __init__(self, usages: tuple[KeyUsage, ...], key_type: KeyType, middle: bytes = b"") -> None:
        self._size: Final = key_type.key_bytes
        bits = 8 * self._size
        self._blocks: Final = [
            struct.pack(">BBHHH", 1, block, usage, key_type, bits) + middle  # 1: version of the layout
            for usage in usages
            for block in range(1, self._size // 16 + 1)
        ]

    def keys(self, parent: CipherContext, tail: bytes) -> tuple[Secret, ...]:
        """One key per usage. ``tail`` completes each block to 16 bytes."""
        derived = self.derive(parent, tail)
        size, view = self._size, memoryview(derived)
        keys = tuple([Secret(view[at : at + size]) for at in range(0, len(derived), size)])
        wipe(derived)
        return keys

    def derive(self, parent: CipherContext, tail: bytes) -> bytearray:
        """The keys one after the other, in one call of the cipher, because the call costs more than its blocks."""
        data = tail.join(self._blocks) + tail
        derived = bytearray(len(data) + 15)  # the library insists on room for a padded block
        parent.update_into(data, derived)
        del derived[len(data) :]
        return derived


def _keyed(key: bytearray) -> CipherContext:
    return Cipher(AES(key), ECB()).encryptor()


def _type_of(key: Secret) -> KeyType:
    for key_type, size in KEY_BYTES.items():
        if len(key) == size:
            return key_type
    raise LocalError(f"AES-DUKPT key of {len(key)} bytes; 16 or 32")
