"""Both sides against the standard's values, and against a naive walk from the root that keeps nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given
from hypothesis import strategies as st

from posdecom_protocol.aes_dukpt import (
    HostDukpt,
    InitialKeyId,
    KeyType,
    KeyUsage,
    Ksn,
    TerminalDukpt,
    initial_key,
)
from posdecom_protocol.errors import ExhaustedError, KeyMaterialError, LocalError
from posdecom_protocol.secret import Secret
from published_vectors import published

VECTORS: Final = "x9_24_3_aes_dukpt.json"
BDK_128: Final = bytes.fromhex("FEDCBA9876543210F1F1F1F1F1F1F1F1")
BDK_256: Final = BDK_128 * 2
INITIAL_KEY_ID: Final = InitialKeyId(bytes.fromhex("1234567890123456"))
INITIAL_128: Final = bytes.fromhex("1273671EA26AC29AFA4D1084127652A1")
INITIAL_256: Final = bytes.fromhex("CE9CE0C101D1138F97FB6CAD4DF045A7083D4EAE2D35A31789D01CCF0949550F")
INITIALS: Final = {KeyType.AES_128: INITIAL_128, KeyType.AES_256: INITIAL_256}
USAGES: Final = (KeyUsage.PIN_ENCRYPTION, KeyUsage.MAC_GENERATION, KeyUsage.DATA_ENCRYPTION)
COLUMNS: Final = ("pin_key", "mac_generate_key", "data_encrypt_key")
LAST: Final = 0xFFFF0000

BOTH: Final = pytest.mark.parametrize("key_type", list(KeyType), ids=["AES-128", "AES-256"])
legal_counters = st.lists(st.integers(0, 31), min_size=1, max_size=16, unique=True).map(
    lambda bits: sum(1 << bit for bit in bits)
)


def ksn(counter: int) -> Ksn:
    return Ksn(INITIAL_KEY_ID, counter)


def host(key_type: KeyType) -> HostDukpt:
    return HostDukpt(Secret(INITIALS[key_type]), INITIAL_KEY_ID)


def terminal(key_type: KeyType) -> TerminalDukpt:
    return TerminalDukpt.load(Secret(INITIALS[key_type]), INITIAL_KEY_ID)


def clear(keys: tuple[Secret, ...]) -> list[bytes]:
    return [bytes(key.data) for key in keys]


def naive(parent: bytes, usage: int, key_type: KeyType, counter: int) -> bytes:
    """One derivation as the standard words it."""
    encryptor = Cipher(AES(parent), ECB()).encryptor()
    derived = b""
    for block in range(key_type.key_bytes // 16):
        data = bytes([1, block + 1]) + usage.to_bytes(2, "big") + key_type.to_bytes(2, "big")
        data += (key_type.key_bytes * 8).to_bytes(2, "big") + INITIAL_KEY_ID[4:] + counter.to_bytes(4, "big")
        derived += encryptor.update(data)
    return derived


def naive_transaction_key(key_type: KeyType, counter: int) -> bytes:
    """From the initial key down, one bit at a time, the highest first."""
    key, reached = INITIALS[key_type], 0
    for bit in reversed(range(32)):
        if counter >> bit & 1:
            reached |= 1 << bit
            key = naive(key, 0x8000, key_type, reached)
    return key


def naive_keys(key_type: KeyType, counter: int) -> list[bytes]:
    key = naive_transaction_key(key_type, counter)
    return [naive(key, usage, key_type, counter) for usage in USAGES]


def state_before(key_type: KeyType, counter: int) -> bytes:
    """What a terminal holds when ``counter`` comes next: for each bit, the lowest counter to come that ends there."""
    state = INITIAL_KEY_ID + key_type.to_bytes(2, "big") + counter.to_bytes(4, "big")
    for bit in range(32):
        coming = -(-counter >> bit) << bit  # rounded up to the bit
        coming = coming if coming >> bit & 1 else coming + (1 << bit)
        waits = coming < 1 << 32 and coming.bit_count() <= 16 and coming & (coming - 1) < counter
        state += naive_transaction_key(key_type, coming) if waits else bytes(key_type.key_bytes)
    return state


# --- published values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bdk", "expected"), [(BDK_128, INITIAL_128), (BDK_256, INITIAL_256)])
def test_the_initial_key_is_the_standards(bdk: bytes, expected: bytes) -> None:
    """ANSI X9.24-3:2017 supplement."""
    assert initial_key(Secret(bdk), INITIAL_KEY_ID).data == expected


PUBLISHED_WORKING_KEYS: Final = """
128 1 AF8CB133A78F8DC2D1359F18527593FB A2DC23DE6FDE0824A2BC321E08E4B8B7 A35C412EFD41FDB98B69797C02DCD08F
128 2 D30BDC73EC9714B000BEC66BDB7B6D09 484C3B06E8562704528CD5B46FB12FB6 D639514AA33AC43AD9229E433D6D4E5B
128 7 6ECF912F3B18CA11A7A27BB60705FD09 BAA08CA263C69525BC6B1BA8F4275D69 0FA8F1F0A2DD7B1005A862D77CDED698
256 1 09C9C432966811D6B2C3336BAC1B1202 F04A1FABD4176E15490CEC82E217A96D 616D59AE91F8CC7016F89FDA29605FA4
256 8 53C1C60A65532313141A102AD720E967 6E94A9283EA9AEB7EAA77C3FF55FF2D1 8950DD50C254C60E26737CA9229F0F18
"""
"""Bits of the initial key, counter, AES-128 keys for PIN, MAC generation, data encryption."""


@pytest.mark.parametrize("row", PUBLISHED_WORKING_KEYS.split("\n")[1:-1])
def test_working_keys_are_the_standards(row: str) -> None:
    """ANSI X9.24-3:2017 supplement; AES-128 working keys under initial keys of both lengths."""
    bits, counter, *expected = row.split()
    keys = host(KeyType[f"AES_{bits}"]).working_keys(ksn(int(counter)), USAGES, KeyType.AES_128)
    assert [key.hex().upper() for key in clear(keys)] == expected


@pytest.mark.parametrize(
    ("key_type", "counter", "transaction_key"),
    [
        (KeyType.AES_128, 0x0001FFFE, "E21E8C8D347F8561A2BE752DAA85A111"),
        (KeyType.AES_128, 0x00020000, "F7AE9025468A25D37B7249CFFED224C8"),
        (KeyType.AES_128, 0x00020001, "692C8EA4013645135B36497131DF9D2C"),
        (KeyType.AES_128, 0xFFFF0000, "F6BA59389BD14A9855BE9727E7C52E3C"),
    ],
)
def test_the_naive_walk_of_these_tests_is_the_standards_too(
    key_type: KeyType, counter: int, transaction_key: str
) -> None:
    """ANSI X9.24-3:2017 supplement: without this the walk would be no oracle for long counters."""
    assert naive_transaction_key(key_type, counter) == bytes.fromhex(transaction_key)


def published_sets() -> Iterator[tuple[KeyType, dict[str, Any]]]:
    for key_set in published(VECTORS)["sets"]:
        yield {128: KeyType.AES_128, 256: KeyType.AES_256}[key_set["bdk_bits"]], key_set


def test_every_published_working_key_comes_out_of_host_and_terminal() -> None:
    checked = 0
    for key_type, key_set in published_sets():
        bdk = Secret(bytes.fromhex(key_set["bdk"]))
        assert initial_key(bdk, INITIAL_KEY_ID).data.hex().upper() == key_set["initial_key"]
        acquirer = HostDukpt.from_bdk(bdk, INITIAL_KEY_ID)
        for working in [size for size in KeyType if size <= key_type]:
            device = terminal(key_type)
            suffix = f"_aes{8 * working.key_bytes}"
            for row in key_set["rows"]:
                expected = [bytes.fromhex(row[column + suffix]) for column in COLUMNS]
                sent, keys = device.next_working_keys(USAGES, working)
                assert sent.encode().hex().upper() == row["ksn"]
                assert clear(keys) == expected
                assert clear(acquirer.working_keys(sent, USAGES, working)) == expected
                checked += len(expected)
    assert checked == 72


def test_every_published_transaction_key_lies_behind_the_hosts_working_keys() -> None:
    checked = 0
    for key_type, key_set in published_sets():
        for row in key_set["rows"] + key_set["txn_key_only"]:
            serial = Ksn.decode(bytes.fromhex(row["ksn"]))
            transaction_key = bytes.fromhex(row["transaction_key"])
            expected = [naive(transaction_key, usage, key_type, serial.counter) for usage in USAGES]
            assert clear(host(key_type).working_keys(serial, USAGES)) == expected
            checked += 1
    assert checked == 30


def test_every_published_update_key_comes_out_of_the_host() -> None:
    checked = 0
    for key_type, key_set in published_sets():
        for working in [size for size in KeyType if size <= key_type]:
            expected = key_set[f"update_key_aes{8 * working.key_bytes}"]
            assert host(key_type).update_key(working).data.hex().upper() == expected
            checked += 1
    assert checked == 3


def test_every_published_pin_block_of_format_4_opens_under_the_hosts_pin_key() -> None:
    """ISO 9564-1 format 4: AES(AES(PIN field) xor PAN field); the PIN field ends in random bytes."""
    checked = 0
    for key_type, key_set in published_sets():
        pan_field = bytes.fromhex(key_set["pin_block"]["pan_field"])
        for row in [row for row in key_set["rows"] if "pin_block_format4_encrypted" in row]:
            serial = Ksn.decode(bytes.fromhex(row["ksn"]))
            (key,) = host(key_type).working_keys(serial, (KeyUsage.PIN_ENCRYPTION,), KeyType.AES_128)
            decryptor = Cipher(AES(key.data), ECB()).decryptor()
            inner = decryptor.update(bytes.fromhex(row["pin_block_format4_encrypted"]))
            pin_field = decryptor.update(bytes(a ^ b for a, b in zip(inner, pan_field, strict=True)))
            assert pin_field[:8].hex().upper() == key_set["pin_block"]["pin_field_first8"]
            checked += 1
    assert checked == 8


# --- host ------------------------------------------------------------------------------------------------------


@BOTH
@given(counters=st.lists(legal_counters, min_size=1, max_size=6))
def test_the_host_finds_the_keys_of_any_ksn_after_any_other(key_type: KeyType, counters: list[int]) -> None:
    acquirer = host(key_type)
    for counter in counters:
        assert clear(acquirer.working_keys(ksn(counter), USAGES)) == naive_keys(key_type, counter)


def test_usages_derived_together_are_the_ones_derived_alone() -> None:
    acquirer = host(KeyType.AES_256)
    together = clear(acquirer.working_keys(ksn(5), tuple(KeyUsage)))
    alone = [clear(acquirer.working_keys(ksn(5), (usage,)))[0] for usage in KeyUsage]
    assert together == alone
    assert len(set(together)) == len(KeyUsage)


def test_an_update_key_in_between_does_not_disturb_the_sequence() -> None:
    acquirer = host(KeyType.AES_128)
    acquirer.message_keys(ksn(6))
    acquirer.update_key()
    assert clear(acquirer.working_keys(ksn(7), USAGES)) == naive_keys(KeyType.AES_128, 7)


def test_the_host_refuses_the_ksn_of_another_terminal() -> None:
    other = Ksn(InitialKeyId(bytes.fromhex("1234567890123457")), 1)
    with pytest.raises(KeyMaterialError, match="another initial key"):
        host(KeyType.AES_128).message_keys(other)


def test_a_working_key_is_never_stronger_than_its_initial_key() -> None:
    with pytest.raises(LocalError, match="AES_256 working key under AES_128"):
        host(KeyType.AES_128).working_keys(ksn(1), USAGES, KeyType.AES_256)


def test_a_request_for_no_key_at_all_is_refused() -> None:
    with pytest.raises(LocalError, match="no key usage"):
        host(KeyType.AES_128).working_keys(ksn(1), ())


def test_a_wiped_host_gives_no_key() -> None:
    acquirer = host(KeyType.AES_128)
    acquirer.message_keys(ksn(1))
    acquirer.wipe()
    for attempt in (lambda: acquirer.message_keys(ksn(1)), acquirer.update_key):
        with pytest.raises(LocalError, match="wiped"):
            attempt()


@pytest.mark.parametrize("length", [1, 8, 24, 33])
def test_keys_of_other_lengths_are_refused(length: int) -> None:
    for attempt in (initial_key, HostDukpt, HostDukpt.from_bdk, TerminalDukpt.load):
        with pytest.raises(LocalError, match=f"{length} bytes"):
            attempt(Secret(bytes(length)), INITIAL_KEY_ID)


@pytest.mark.parametrize("length", [0, 7, 9, 12])
def test_an_initial_key_id_of_another_length_is_refused(length: int) -> None:
    """Most of all 12 bytes: that is a KSN."""
    identity, key = InitialKeyId(bytes(length)), Secret(INITIAL_128)
    for attempt in (initial_key, HostDukpt, HostDukpt.from_bdk, TerminalDukpt.load):
        with pytest.raises(LocalError, match=f"initial key id of {length} bytes; 8"):
            attempt(key, identity)
    with pytest.raises(KeyMaterialError, match=f"initial key id of {length} bytes; 8"):
        Ksn(identity, 1)


# --- terminal --------------------------------------------------------------------------------------------------


@BOTH
def test_terminal_and_host_agree_on_the_first_transactions(key_type: KeyType) -> None:
    device, acquirer = terminal(key_type), host(key_type)
    for counter in range(1, 600):
        serial, keys = device.next_message_keys()
        assert serial == ksn(counter)
        assert keys == acquirer.message_keys(serial)


@BOTH
@given(counter=legal_counters)
def test_from_any_counter_the_terminal_goes_on_to_the_next_legal_one(key_type: KeyType, counter: int) -> None:
    device = TerminalDukpt.import_state(state_before(key_type, counter))
    assert device.next_counter == counter
    serial, keys = device.next_working_keys(USAGES)
    assert serial == ksn(counter)
    assert clear(keys) == naive_keys(key_type, counter)
    following = counter + 1 if counter.bit_count() < 16 else counter + (counter & -counter)
    assert device.next_counter == (None if counter == LAST else following)
    if counter != LAST:
        assert device.export_state() == state_before(key_type, following)


def test_counters_with_more_than_16_one_bits_are_skipped() -> None:
    """ANSI X9.24-3:2017 supplement shows 1FFFE, 20000, 20001 and FFFE2000, FFFE4000, FFFE8000, FFFF0000."""
    for start, expected in [
        (0x1FFFE, [0x1FFFE, 0x20000, 0x20001]),
        (0xFFFE2000, [0xFFFE2000, 0xFFFE4000, 0xFFFE8000, 0xFFFF0000]),
    ]:
        device = TerminalDukpt.import_state(state_before(KeyType.AES_128, start))
        spent = [device.next_message_keys()[0].counter for _ in expected]
        assert spent == expected


@BOTH
def test_after_the_last_counter_the_terminal_is_exhausted_and_holds_nothing(key_type: KeyType) -> None:
    device = TerminalDukpt.import_state(state_before(key_type, LAST))
    serial, keys = device.next_message_keys()
    assert keys == host(key_type).message_keys(serial)
    empty = INITIAL_KEY_ID + key_type.to_bytes(2, "big") + bytes(4 + 32 * key_type.key_bytes)
    for one in (device, TerminalDukpt.import_state(device.export_state())):
        assert one.next_counter is None
        assert one.export_state() == empty
        with pytest.raises(ExhaustedError, match="no counter is left"):
            one.next_message_keys()


@BOTH
def test_nothing_of_a_spent_transaction_is_left_in_the_state(key_type: KeyType) -> None:
    device = terminal(key_type)
    spent = [INITIALS[key_type]]
    for counter in range(1, 40):
        _, keys = device.next_working_keys(USAGES)
        spent += [naive_transaction_key(key_type, counter), *clear(keys)]
        state = device.export_state()
        windows = {bytes(state[at : at + 8]) for at in range(len(state) - 7)}
        found = [key for key in spent for at in range(len(key) - 7) if key[at : at + 8] in windows]
        assert not found


def test_the_search_for_spent_keys_would_find_one() -> None:
    device = terminal(KeyType.AES_128)
    assert naive_transaction_key(KeyType.AES_128, 1) in device.export_state()


@BOTH
def test_a_state_of_a_fresh_terminal_holds_32_keys_in_their_places(key_type: KeyType) -> None:
    assert terminal(key_type).export_state() == state_before(key_type, 1)


@BOTH
def test_a_terminal_that_is_exported_before_every_transaction_goes_on_as_if_it_were_not(
    key_type: KeyType,
) -> None:
    through, device = terminal(key_type), terminal(key_type)
    for _ in range(40):
        device = TerminalDukpt.import_state(device.export_state())
        assert device.next_message_keys() == through.next_message_keys()


def test_a_state_taken_before_a_transaction_repeats_its_ksn() -> None:
    """Why the state is stored before anything leaves: an old one would use a key again."""
    device = terminal(KeyType.AES_128)
    old = device.export_state()
    assert TerminalDukpt.import_state(old).next_message_keys() == device.next_message_keys()


def test_a_wiped_terminal_gives_no_key_and_exports_none() -> None:
    device = terminal(KeyType.AES_128)
    device.wipe()
    assert device.next_counter is None
    assert not any(device.export_state()[14:])
    with pytest.raises(ExhaustedError):
        device.next_message_keys()


@BOTH
def test_a_state_of_any_other_length_is_refused(key_type: KeyType) -> None:
    state = bytes(terminal(key_type).export_state())
    for length in [*range(len(state)), len(state) + 1]:
        with pytest.raises(KeyMaterialError, match=f"state of {length} bytes"):
            TerminalDukpt.import_state((state + b"\0")[:length])


@pytest.mark.parametrize("algorithm", [0, 1, 3, 5, 0x0200])
def test_a_state_of_another_algorithm_is_refused(algorithm: int) -> None:
    state = terminal(KeyType.AES_128).export_state()
    state[8:10] = algorithm.to_bytes(2, "big")
    with pytest.raises(KeyMaterialError, match="unknown algorithm"):
        TerminalDukpt.import_state(state)


@pytest.mark.parametrize("counter", [0x0001FFFF, 0xFFFF0001, 0xFFFFFFFF])
def test_neither_a_state_nor_a_ksn_has_a_counter_that_no_terminal_reaches(counter: int) -> None:
    state = terminal(KeyType.AES_128).export_state()
    state[10:14] = counter.to_bytes(4, "big")
    with pytest.raises(KeyMaterialError, match="no terminal reaches"):
        TerminalDukpt.import_state(state)
    with pytest.raises(KeyMaterialError, match="no terminal reaches"):
        Ksn.decode(INITIAL_KEY_ID + counter.to_bytes(4, "big"))


# --- key serial number -----------------------------------------------------------------------------------------


@given(identity=st.binary(min_size=8, max_size=8), counter=legal_counters)
def test_a_ksn_is_the_initial_key_id_and_the_counter_big_endian(identity: bytes, counter: int) -> None:
    serial = Ksn(InitialKeyId(identity), counter)
    assert serial.encode() == identity + counter.to_bytes(4, "big")
    assert Ksn.decode(serial.encode()) == serial


@pytest.mark.parametrize("length", [*range(12), 13, 24])
def test_a_ksn_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(KeyMaterialError, match=f"KSN of {length} bytes; 12"):
        Ksn.decode((ksn(1).encode() * 2)[:length])


def test_counter_zero_belongs_to_no_transaction() -> None:
    with pytest.raises(KeyMaterialError):
        Ksn.decode(INITIAL_KEY_ID + bytes(4))


def test_no_side_shows_a_key() -> None:
    assert repr(host(KeyType.AES_128)) == "HostDukpt(AES_128)"
    assert repr(terminal(KeyType.AES_256)) == "TerminalDukpt(AES_256)"
