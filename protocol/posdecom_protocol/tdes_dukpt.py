"""TDES-DUKPT (ANSI X9.24-1:2009): one double-length key per transaction, both sides. No clock, randomness, storage.

Terminals still hold such key sets next to the AES ones; new deployments use `aes_dukpt`. A key's child comes from the
standard's non-reversible key generation process, two DES encryptions per half (see `dukpt_tree` for the counters).
Working keys are variants of the transaction key; the data keys go through one more TDES encryption.

Not here: PIN blocks, MACs (`retail_mac`), key check values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Final, NewType

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import ECB

from .dukpt_tree import Ancestors, CounterShape, KeyRegisters
from .errors import KeyMaterialError, LocalError
from .secret import BytesLike, Secret, wipe
from .tdes import BLOCK_BYTES, tdes

InitialKsn = NewType("InitialKsn", bytes)
"""10 bytes, the 21 counter bits zero: key set id, terminal's number; names one terminal's key set."""

KSN_BYTES: Final = 10
KEY_BYTES: Final = 16
COUNTERS: Final = CounterShape(bits=21, ones_max=10)

_COUNTER_MASK: Final = (1 << COUNTERS.bits) - 1
_HALF_MASK: Final = bytes.fromhex("C0C0C0C000000000C0C0C0C000000000")
"""Turns a key into the other one that a derivation needs: one key makes each half of the result."""


class TdesKeyUsage(Enum):
    """Working keys, by the variant that is added to the transaction key."""

    PIN_ENCRYPTION = bytes.fromhex("00000000000000FF00000000000000FF")
    MAC_REQUEST = bytes.fromhex("000000000000FF00000000000000FF00")
    MAC_RESPONSE = bytes.fromhex("00000000FF00000000000000FF000000")
    DATA_REQUEST = bytes.fromhex("0000000000FF00000000000000FF0000")
    DATA_RESPONSE = bytes.fromhex("000000FF00000000000000FF00000000")


ONE_WAY: Final = frozenset({TdesKeyUsage.DATA_REQUEST, TdesKeyUsage.DATA_RESPONSE})
"""Encrypted under themselves, so that a data key does not give the others away."""


@dataclass(frozen=True, slots=True)
class TdesKsn:
    """Key serial number as sent with a message."""

    initial_ksn: InitialKsn
    counter: int
    """1 to 1FF800, at most 10 one bits."""

    def __post_init__(self) -> None:
        _check_initial_ksn(self.initial_ksn)
        COUNTERS.check(self.counter)

    def encode(self) -> bytes:
        """10 bytes, the counter in the last 21 bits."""
        return _with_counter(self.initial_ksn, self.counter)

    @classmethod
    def decode(cls, data: BytesLike) -> TdesKsn:
        """Inverse of `encode`; `KeyMaterialError` for another length or a counter over 10 one bits."""
        if len(data) != KSN_BYTES:
            raise KeyMaterialError(f"TDES KSN of {len(data)} bytes; {KSN_BYTES}")
        number = int.from_bytes(data, "big")
        counter = number & _COUNTER_MASK
        return cls(InitialKsn((number ^ counter).to_bytes(KSN_BYTES, "big")), counter)


def tdes_initial_key(bdk: Secret, initial_ksn: InitialKsn) -> Secret:
    """The key that is injected into one terminal from the ``bdk``, both of 16 bytes."""
    _check_initial_ksn(initial_ksn)
    block = initial_ksn[:BLOCK_BYTES]
    with _xor(bdk, _HALF_MASK) as other:
        return _joined(_encrypted(bdk.data, block), _encrypted(other.data, block))


class TdesHostDukpt:
    """The acquirer's side of one terminal's key set: the keys of any KSN, cheapest in sequence."""

    def __init__(self, initial_key: Secret, initial_ksn: InitialKsn) -> None:
        _check_initial_ksn(initial_ksn)
        _check_key(initial_key)
        self.initial_ksn: Final = initial_ksn
        self._ancestors: Final = Ancestors(Secret(initial_key.data), partial(_child, initial_ksn))

    @classmethod
    def from_bdk(cls, bdk: Secret, initial_ksn: InitialKsn) -> TdesHostDukpt:
        with tdes_initial_key(bdk, initial_ksn) as key:
            return cls(key, initial_ksn)

    def working_keys(self, ksn: TdesKsn, usages: tuple[TdesKeyUsage, ...]) -> tuple[Secret, ...]:
        """One key of 16 bytes per usage; `KeyMaterialError` if ``ksn`` belongs to another terminal."""
        if ksn.initial_ksn != self.initial_ksn:
            raise KeyMaterialError("KSN of another initial key")
        return _working_keys(self._ancestors.reach(ksn.counter), usages)

    def wipe(self) -> None:
        """Forget every key; the object is of no use afterwards (`LocalError`)."""
        self._ancestors.wipe()

    def __repr__(self) -> str:
        return "TdesHostDukpt()"


class TdesTerminalDukpt:
    """The terminal's side: 21 registers of future keys, and never the initial key.

    Started once with `load`, continued from `export_state`, which is **stored durably before anything protected by
    the keys just spent leaves the terminal**.
    """

    def __init__(self, initial_ksn: InitialKsn) -> None:
        """For `load` and `import_state`: a terminal with empty registers."""
        _check_initial_ksn(initial_ksn)
        self.initial_ksn: Final = initial_ksn
        self._registers: Final = KeyRegisters(COUNTERS, KEY_BYTES)

    @classmethod
    def load(cls, initial_key: Secret, initial_ksn: InitialKsn) -> TdesTerminalDukpt:
        """Fill the registers from the initial key (16 bytes), which the caller then wipes."""
        _check_key(initial_key)
        terminal = cls(initial_ksn)
        terminal._registers.start(partial(_child, initial_ksn, initial_key))
        return terminal

    @classmethod
    def import_state(cls, state: BytesLike) -> TdesTerminalDukpt:
        """Continue from `export_state`; `KeyMaterialError` if it is none."""
        if len(state) != STATE_BYTES:
            raise KeyMaterialError(f"TDES-DUKPT state of {len(state)} bytes; {STATE_BYTES}")
        number = int.from_bytes(state[:KSN_BYTES], "big")
        next_counter = number & _COUNTER_MASK
        terminal = cls(InitialKsn((number ^ next_counter).to_bytes(KSN_BYTES, "big")))
        terminal._registers.read(memoryview(state)[KSN_BYTES:], next_counter)
        return terminal

    def export_state(self) -> bytearray:
        """The whole key set for a store to hold, 346 bytes; wipe the buffer after storing it.

        KSN of the next transaction 10 (counter bits zero when none is left), 21 registers of 16 (zeros where empty).
        """
        state = bytearray(STATE_BYTES)
        state[:KSN_BYTES] = _with_counter(self.initial_ksn, self.next_counter or 0)
        self._registers.write(memoryview(state)[KSN_BYTES:])
        return state

    @property
    def next_counter(self) -> int | None:
        """The counter that the next transaction will have; None when every one is spent, or the keys wiped."""
        return self._registers.next_counter

    def next_working_keys(self, usages: tuple[TdesKeyUsage, ...]) -> tuple[TdesKsn, tuple[Secret, ...]]:
        """Spend the next counter: its KSN and one key of 16 bytes per usage. `ExhaustedError` after the last."""
        counter, key = self._registers.take()
        with key:
            self._registers.refill(counter, partial(_child, self.initial_ksn, key))
            return TdesKsn(self.initial_ksn, counter), _working_keys(key, usages)

    def wipe(self) -> None:
        """Erase every register: no key comes out any more."""
        self._registers.wipe()

    def __repr__(self) -> str:
        return "TdesTerminalDukpt()"


STATE_BYTES: Final = KSN_BYTES + COUNTERS.bits * KEY_BYTES


def _child(initial_ksn: InitialKsn, parent: Secret, counter: int) -> Secret:
    """Non-reversible key generation process, over the last 8 bytes of the KSN with ``counter``."""
    register = _with_counter(initial_ksn, counter)[-BLOCK_BYTES:]
    with _xor(parent, _HALF_MASK) as other:
        return _joined(_half(other, register), _half(parent, register))


def _half(key: Secret, register: bytes) -> bytearray:
    view = memoryview(key.data)
    left, right = view[:BLOCK_BYTES], view[BLOCK_BYTES:]
    mixed = _added(register, right)
    encrypted = _encrypted(left, mixed)
    half = _added(encrypted, right)
    wipe(mixed)
    wipe(encrypted)
    return half


def _working_keys(transaction: Secret, usages: tuple[TdesKeyUsage, ...]) -> tuple[Secret, ...]:
    return tuple(_working_key(transaction, usage) for usage in usages)


def _working_key(transaction: Secret, usage: TdesKeyUsage) -> Secret:
    variant = _xor(transaction, usage.value)
    if usage not in ONE_WAY:
        return variant
    with variant:
        return _owned(_encrypted(variant.data, variant.data))


def _encrypted(key: BytesLike, data: BytesLike) -> bytearray:
    """ECB of whole blocks, in a buffer that can be wiped. ``key``: 8 bytes (DES) or 16."""
    out = bytearray(len(data) + BLOCK_BYTES - 1)  # the library insists on room for a padded block
    size = Cipher(tdes(key), ECB()).encryptor().update_into(data, out)
    del out[size:]
    return out


def _joined(left: bytearray, right: bytearray) -> Secret:
    both = _owned(left + right)
    wipe(left)
    wipe(right)
    return both


def _xor(key: Secret, mask: bytes) -> Secret:
    _check_key(key)
    return _owned(_added(key.data, mask))


def _owned(buffer: bytearray) -> Secret:
    """``buffer`` as a secret, and nothing left in the buffer."""
    secret = Secret(buffer)
    wipe(buffer)
    return secret


def _added(left: BytesLike, right: BytesLike) -> bytearray:
    return bytearray(a ^ b for a, b in zip(left, right, strict=True))


def _with_counter(initial_ksn: InitialKsn, counter: int) -> bytes:
    return (int.from_bytes(initial_ksn, "big") | counter).to_bytes(KSN_BYTES, "big")


def _check_initial_ksn(initial_ksn: bytes) -> None:
    if len(initial_ksn) != KSN_BYTES or int.from_bytes(initial_ksn, "big") & _COUNTER_MASK:
        raise LocalError(f"initial KSN has {KSN_BYTES} bytes, the last {COUNTERS.bits} bits zero")


def _check_key(key: Secret) -> None:
    if len(key) != KEY_BYTES:
        raise LocalError(f"TDES-DUKPT key of {len(key)} bytes; {KEY_BYTES}")
