"""What payment keys cost the host. One command prints both tables:

    pytest benchmarks/test_bench_dukpt.py --benchmark-enable --benchmark-columns=min,median,rounds

First table: the MAC key and the data key of each of 500 transactions in sequence, in the middle of a terminal's life.
Second: 10,000 stored records verified and opened. Beside each stands its floor: the cipher calls that nothing can save,
with no bookkeeping at all. A transaction has a derivation key of its own, and a key costs an OpenSSL context: the floor
itself is 12 to 15 times cheaper than the naive walk, which sets up about ten of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import pydukpt
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from cryptography.hazmat.primitives.cmac import CMAC
from pytest_benchmark.fixture import BenchmarkFixture

from posdecom_protocol.aes_dukpt import HostDukpt, InitialKeyId, KeyUsage, Ksn, TerminalDukpt
from posdecom_protocol.protection import (
    AccountData,
    cmac8,
    cmac8_matches,
    decrypt_account_data,
    encrypt_account_data,
)
from posdecom_protocol.secret import Secret
from posdecom_protocol.tdes_dukpt import InitialKsn, TdesHostDukpt, TdesKeyUsage, TdesKsn

TRANSACTIONS: Final = 500
RECORDS: Final = 10_000
MESSAGE_BYTES: Final = 256
INITIAL_KEY: Final = bytes.fromhex("1273671EA26AC29AFA4D1084127652A1")
INITIAL_KEY_ID: Final = InitialKeyId(bytes.fromhex("1234567890123456"))
INITIAL_KSN: Final = InitialKsn(bytes.fromhex("FFFF9876543210E00000"))
AES_USAGES: Final = (KeyUsage.MAC_GENERATION, KeyUsage.DATA_ENCRYPTION)
TDES_USAGES: Final = (TdesKeyUsage.MAC_REQUEST, TdesKeyUsage.DATA_REQUEST)
COUNTERS: Final = [counter for counter in range(0xB5A5, 0xFFFF) if counter.bit_count() <= 10][:TRANSACTIONS]
"""From about 46,500 on; both standards allow them."""
CARD: Final = AccountData("4111111111111111", "3112")

DERIVATION: Final = pytest.mark.benchmark(group=f"MAC and data key for each of {TRANSACTIONS} transactions")
VERIFICATION: Final = pytest.mark.benchmark(group=f"{RECORDS} records of {MESSAGE_BYTES} bytes")


class Record(NamedTuple):
    ksn: Ksn
    message: bytes
    mac: bytes
    account_data: bytes


@pytest.fixture(scope="module")
def records() -> Sequence[Record]:
    """What a terminal wrote over its last 10,000 transactions."""
    terminal = TerminalDukpt.load(Secret(INITIAL_KEY), INITIAL_KEY_ID)
    return [_record(terminal) for _ in range(RECORDS)]


def _record(terminal: TerminalDukpt) -> Record:
    ksn, keys = terminal.next_message_keys()
    with keys:
        account_data = encrypt_account_data(keys.data, CARD)
        message = ksn.encode() + account_data.ljust(MESSAGE_BYTES - 12, b".")
        return Record(ksn, message, cmac8(keys.mac, message), account_data)


# --- derivation ------------------------------------------------------------------------------------------------


@DERIVATION
def test_aes_naive_walk_from_the_initial_key(benchmark: BenchmarkFixture) -> None:
    keys = benchmark(lambda: [_naive(counter) for counter in COUNTERS])
    assert len(keys) == TRANSACTIONS


@DERIVATION
def test_aes_posdecom(benchmark: BenchmarkFixture) -> None:
    ksns = [Ksn(INITIAL_KEY_ID, counter) for counter in COUNTERS]

    def derive() -> list[tuple[Secret, ...]]:
        host = HostDukpt(Secret(INITIAL_KEY), INITIAL_KEY_ID)
        return [host.working_keys(ksn, AES_USAGES) for ksn in ksns]

    keys = benchmark(derive)
    assert [[bytes(key.data) for key in row] for row in keys[-3:]] == [_naive(c) for c in COUNTERS[-3:]]


@DERIVATION
def test_aes_floor_one_key_setup_and_three_blocks(benchmark: BenchmarkFixture) -> None:
    parent = Cipher(AES(INITIAL_KEY), ECB()).encryptor()

    def derive() -> list[bytes]:
        return [Cipher(AES(parent.update(bytes(16))), ECB()).encryptor().update(bytes(32)) for _ in COUNTERS]

    assert len(benchmark(derive)) == TRANSACTIONS


@DERIVATION
def test_tdes_pydukpt(benchmark: BenchmarkFixture) -> None:
    ksns = [TdesKsn(INITIAL_KSN, counter).encode() for counter in COUNTERS]
    assert len(benchmark(lambda: [_pydukpt(ksn) for ksn in ksns])) == TRANSACTIONS


@DERIVATION
def test_tdes_posdecom(benchmark: BenchmarkFixture) -> None:
    ksns = [TdesKsn(INITIAL_KSN, counter) for counter in COUNTERS]

    def derive() -> list[tuple[Secret, ...]]:
        host = TdesHostDukpt(Secret(INITIAL_KEY), INITIAL_KSN)
        return [host.working_keys(ksn, TDES_USAGES) for ksn in ksns]

    keys = benchmark(derive)
    assert [[bytes(key.data) for key in row] for row in keys[-3:]] == [
        _pydukpt(k.encode()) for k in ksns[-3:]
    ]


# --- verification ----------------------------------------------------------------------------------------------


@VERIFICATION
def test_records_posdecom(benchmark: BenchmarkFixture, records: Sequence[Record]) -> None:
    def verify() -> int:
        host = HostDukpt(Secret(INITIAL_KEY), INITIAL_KEY_ID)
        return sum(_verified(host, record) for record in records)

    assert benchmark(verify) == RECORDS


@VERIFICATION
def test_records_floor_three_key_setups_and_their_blocks(
    benchmark: BenchmarkFixture, records: Sequence[Record]
) -> None:
    parent = Cipher(AES(INITIAL_KEY), ECB()).encryptor()

    def verify() -> int:
        for record in records:
            keys = Cipher(AES(parent.update(bytes(16))), ECB()).encryptor().update(bytes(32))
            mac = CMAC(AES(keys[:16]))
            mac.update(record.message)
            mac.finalize()
            Cipher(AES(keys[16:]), CBC(bytes(16))).decryptor().update(record.account_data)
        return RECORDS

    assert benchmark(verify) == RECORDS


def _verified(host: HostDukpt, record: Record) -> bool:
    with host.message_keys(record.ksn) as keys:
        return (
            cmac8_matches(keys.mac, record.message, record.mac)
            and decrypt_account_data(keys.data, record.account_data) == CARD
        )


def _naive(counter: int) -> list[bytes]:
    """From the initial key down for every transaction, each derivation with a cipher of its own."""
    key, reached = INITIAL_KEY, 0
    for bit in reversed(range(32)):
        if counter >> bit & 1:
            reached |= 1 << bit
            key = _derived(key, KeyUsage.KEY_DERIVATION, reached)
    return [_derived(key, usage, counter) for usage in AES_USAGES]


def _derived(parent: bytes, usage: KeyUsage, counter: int) -> bytes:
    data = (
        b"\1\1" + usage.to_bytes(2, "big") + b"\0\2\0\x80" + INITIAL_KEY_ID[4:] + counter.to_bytes(4, "big")
    )
    return Cipher(AES(parent), ECB()).encryptor().update(data)


def _pydukpt(ksn: bytes) -> list[bytes]:
    key = pydukpt.derive_key(INITIAL_KEY, ksn)
    return [pydukpt.mac_request_key(key), pydukpt.data_request_key(key)]
