"""Both sides against the standard's values and against pydukpt, which shares no code with them."""

from __future__ import annotations

from typing import Any, Final

import pydukpt
import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from hypothesis import given
from hypothesis import strategies as st

from posdecom_protocol.errors import ExhaustedError, KeyMaterialError, LocalError
from posdecom_protocol.retail_mac import Padding, retail_mac
from posdecom_protocol.secret import Secret
from posdecom_protocol.tdes_dukpt import (
    InitialKsn,
    TdesHostDukpt,
    TdesKeyUsage,
    TdesKsn,
    TdesTerminalDukpt,
    tdes_initial_key,
)
from published_vectors import published

BDK: Final = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
INITIAL_KSN: Final = InitialKsn(bytes.fromhex("FFFF9876543210E00000"))
INITIAL_KEY: Final = bytes.fromhex("6AC292FAA1315B4D858AB3A3D7D5933A")
USAGES: Final = tuple(TdesKeyUsage)
LAST: Final = 0x1FF800

ORACLE: Final = {
    TdesKeyUsage.PIN_ENCRYPTION: pydukpt.pin_key,
    TdesKeyUsage.MAC_REQUEST: pydukpt.mac_request_key,
    TdesKeyUsage.MAC_RESPONSE: pydukpt.mac_response_key,
    TdesKeyUsage.DATA_REQUEST: pydukpt.data_request_key,
    TdesKeyUsage.DATA_RESPONSE: pydukpt.data_response_key,
}

legal_counters = st.lists(st.integers(0, 20), min_size=1, max_size=10, unique=True).map(
    lambda bits: sum(1 << bit for bit in bits)
)


def ksn(counter: int) -> TdesKsn:
    return TdesKsn(INITIAL_KSN, counter)


def host() -> TdesHostDukpt:
    return TdesHostDukpt(Secret(INITIAL_KEY), INITIAL_KSN)


def terminal() -> TdesTerminalDukpt:
    return TdesTerminalDukpt.load(Secret(INITIAL_KEY), INITIAL_KSN)


def clear(keys: tuple[Secret, ...]) -> list[bytes]:
    return [bytes(key.data) for key in keys]


def pydukpt_transaction_key(counter: int) -> bytes:
    return pydukpt.derive_key(INITIAL_KEY, ksn(counter).encode())


def pydukpt_keys(counter: int) -> list[bytes]:
    transaction_key = pydukpt_transaction_key(counter)
    return [ORACLE[usage](transaction_key) for usage in USAGES]


def state_before(counter: int) -> bytes:
    """What a terminal holds when ``counter`` comes next: for each bit, the lowest counter to come that ends there."""
    state = ksn(counter).encode()
    for bit in range(21):
        coming = -(-counter >> bit) << bit  # rounded up to the bit
        coming = coming if coming >> bit & 1 else coming + (1 << bit)
        waits = coming < 1 << 21 and coming.bit_count() <= 10 and coming & (coming - 1) < counter
        state += pydukpt_transaction_key(coming) if waits else bytes(16)
    return state


# --- published values ------------------------------------------------------------------------------------------


def test_the_initial_key_is_the_standards() -> None:
    """ANSI X9.24-1:2009 A.4."""
    assert tdes_initial_key(Secret(BDK), INITIAL_KSN).data == INITIAL_KEY


@pytest.mark.parametrize(
    ("serial", "transaction_key"),
    [
        ("FFFF9876543210E00001", "042666B49184CFA368DE9628D0397BC9"),
        ("FFFF9876543210E00002", "C46551CEF9FD24B0AA9AD834130D3BC7"),
        ("FFFF9876543210E00003", "0DF3D9422ACA56E547676D07AD6BADFA"),
        ("FFFF9876543210EFFC00", "F9430DF975082491C77BE4EF4FDB91EE"),
        ("FFFF9876543210F00000", "AA4D58DB653EC74A48C75F2F047DD2B5"),
    ],
)
def test_the_transaction_key_is_the_standards(serial: str, transaction_key: str) -> None:
    """ANSI X9.24-1:2009 A.4.2 and A.4.3. The PIN key differs from the transaction key in two bytes only."""
    (key,) = host().working_keys(TdesKsn.decode(bytes.fromhex(serial)), (TdesKeyUsage.PIN_ENCRYPTION,))
    expected = bytearray.fromhex(transaction_key)
    expected[7] ^= 0xFF
    expected[15] ^= 0xFF
    assert key.data == expected


def published_results(
    row: dict[str, Any], vectors: dict[str, Any], keys: tuple[Secret, ...]
) -> dict[str, str]:
    """The row as our working ``keys`` (in the order of the usages) give it."""
    by_usage = dict(zip(USAGES, keys, strict=True))
    message = vectors["message_ascii"].encode("ascii")
    expanded = {usage: bytes(key.data + key.data[:8]) for usage, key in by_usage.items()}
    pin = Cipher(TripleDES(expanded[TdesKeyUsage.PIN_ENCRYPTION]), ECB()).encryptor()
    data = Cipher(TripleDES(expanded[TdesKeyUsage.DATA_REQUEST]), CBC(bytes(8))).encryptor()
    request = retail_mac(by_usage[TdesKeyUsage.MAC_REQUEST], message, Padding.ZEROS)
    response = retail_mac(by_usage[TdesKeyUsage.MAC_RESPONSE], message, Padding.ZEROS)
    transaction_key = bytearray(by_usage[TdesKeyUsage.PIN_ENCRYPTION].data)
    transaction_key[7] ^= 0xFF
    transaction_key[15] ^= 0xFF
    return {
        "seq": row["seq"],
        "ksn": row["ksn"],
        "transaction_key": transaction_key.hex().upper(),
        "pin_block_encrypted": pin.update(bytes.fromhex(vectors["pin_block_clear"])).hex().upper(),
        "mac_request_4": request[:4].hex().upper(),
        "mac_response_4": response[:4].hex().upper(),
        "data_request_cbc": data.update(message.ljust(24, b"\0")).hex().upper(),
    }


def test_every_published_row_comes_out_of_host_and_terminal() -> None:
    vectors = published("x9_24_1_tdes_dukpt.json")
    acquirer = TdesHostDukpt.from_bdk(Secret(BDK), INITIAL_KSN)
    devices = {
        "initial": terminal(),
        "rollover": TdesTerminalDukpt.import_state(state_before(0x0FF800)),
    }
    for row in vectors["rows"]:
        serial, keys = devices[row["seq"]].next_working_keys(USAGES)
        assert serial.encode().hex().upper() == row["ksn"]
        assert published_results(row, vectors, keys) == row
        assert published_results(row, vectors, acquirer.working_keys(serial, USAGES)) == row
    assert len(vectors["rows"]) == 34


# --- host ------------------------------------------------------------------------------------------------------


@given(
    bdk=st.binary(min_size=16, max_size=16),
    identity=st.integers(0, (1 << 59) - 1),
    counters=st.lists(legal_counters, min_size=1, max_size=4),
)
def test_any_bdk_any_terminal_and_any_counters_give_pydukpts_keys(
    bdk: bytes, identity: int, counters: list[int]
) -> None:
    initial_ksn = InitialKsn((identity << 21).to_bytes(10, "big"))
    acquirer = TdesHostDukpt.from_bdk(Secret(bdk), initial_ksn)
    initial_key = pydukpt.derive_ipek(bdk, initial_ksn)
    assert tdes_initial_key(Secret(bdk), initial_ksn).data == initial_key
    for counter in counters:
        serial = TdesKsn(initial_ksn, counter)
        transaction_key = pydukpt.derive_key(initial_key, serial.encode())
        expected = [ORACLE[usage](transaction_key) for usage in USAGES]
        assert clear(acquirer.working_keys(serial, USAGES)) == expected


def test_the_host_refuses_the_ksn_of_another_terminal() -> None:
    other = TdesKsn(InitialKsn(bytes.fromhex("FFFF9876543211000000")), 1)
    with pytest.raises(KeyMaterialError, match="another initial key"):
        host().working_keys(other, USAGES)


def test_a_wiped_host_gives_no_key() -> None:
    acquirer = host()
    acquirer.wipe()
    with pytest.raises(LocalError, match="wiped"):
        acquirer.working_keys(ksn(1), USAGES)


def test_the_host_has_its_own_copy_of_the_initial_key() -> None:
    with Secret(INITIAL_KEY) as key:
        acquirer = TdesHostDukpt(key, INITIAL_KSN)
    assert clear(acquirer.working_keys(ksn(1), USAGES)) == pydukpt_keys(1)


@pytest.mark.parametrize("length", [8, 15, 24, 32])
def test_keys_of_other_lengths_are_refused(length: int) -> None:
    for attempt in (tdes_initial_key, TdesHostDukpt, TdesHostDukpt.from_bdk, TdesTerminalDukpt.load):
        with pytest.raises(LocalError, match=f"{length} bytes; 16"):
            attempt(Secret(bytes(length)), INITIAL_KSN)


@pytest.mark.parametrize(
    "initial_ksn", ["FFFF9876543210E0000001", "FFFF9876543210E000", "FFFF9876543210E00001"]
)
def test_an_initial_ksn_has_ten_bytes_and_no_counter(initial_ksn: str) -> None:
    wrong = InitialKsn(bytes.fromhex(initial_ksn))
    for attempt in (tdes_initial_key, TdesHostDukpt, TdesTerminalDukpt.load):
        with pytest.raises(LocalError, match="initial KSN has 10 bytes, the last 21 bits zero"):
            attempt(Secret(INITIAL_KEY), wrong)


# --- terminal --------------------------------------------------------------------------------------------------


def test_terminal_and_pydukpt_agree_on_the_first_transactions() -> None:
    device = terminal()
    for counter in range(1, 150):
        serial, keys = device.next_working_keys(USAGES)
        assert serial == ksn(counter)
        assert clear(keys) == pydukpt_keys(counter)


@given(counter=legal_counters)
def test_from_any_counter_the_terminal_goes_on_to_the_next_ksn_of_pydukpt(counter: int) -> None:
    device = TdesTerminalDukpt.import_state(state_before(counter))
    serial, keys = device.next_working_keys(USAGES)
    assert serial == ksn(counter)
    assert clear(keys) == pydukpt_keys(counter)
    if counter == LAST:
        assert device.next_counter is None
    else:
        following = pydukpt.ksn_counter(pydukpt.next_ksn(serial.encode()))
        assert device.next_counter == following
        assert device.export_state() == state_before(following)


def test_after_the_last_counter_the_terminal_is_exhausted_and_holds_nothing() -> None:
    device = TdesTerminalDukpt.import_state(state_before(LAST))
    device.next_working_keys(USAGES)
    for one in (device, TdesTerminalDukpt.import_state(device.export_state())):
        assert one.export_state() == INITIAL_KSN + bytes(21 * 16)
        with pytest.raises(ExhaustedError):
            one.next_working_keys(USAGES)


def test_a_state_of_a_fresh_terminal_holds_21_keys_in_their_places() -> None:
    assert terminal().export_state() == state_before(1)


def test_a_terminal_that_is_exported_before_every_transaction_goes_on_as_if_it_were_not() -> None:
    through, device = terminal(), terminal()
    for _ in range(20):
        device = TdesTerminalDukpt.import_state(device.export_state())
        assert device.next_working_keys(USAGES) == through.next_working_keys(USAGES)


def test_nothing_of_a_spent_transaction_is_left_in_the_state() -> None:
    device = terminal()
    spent = [INITIAL_KEY]
    for counter in range(1, 20):
        _, keys = device.next_working_keys(USAGES)
        spent += [pydukpt_transaction_key(counter), *clear(keys)]
        state = device.export_state()
        assert not [key for key in spent if key[:8] in state or key[8:] in state]
    assert pydukpt_transaction_key(20) in device.export_state(), "the search would find a key that is there"


def test_a_wiped_terminal_gives_no_key_and_exports_none() -> None:
    device = terminal()
    device.wipe()
    assert device.export_state() == INITIAL_KSN + bytes(21 * 16)
    with pytest.raises(ExhaustedError):
        device.next_working_keys(USAGES)


def test_a_state_of_any_other_length_is_refused() -> None:
    state = bytes(terminal().export_state()) + b"\0"
    for length in [*range(346), 347]:
        with pytest.raises(KeyMaterialError, match=f"state of {length} bytes; 346"):
            TdesTerminalDukpt.import_state(state[:length])


# --- key serial number -----------------------------------------------------------------------------------------


@given(identity=st.integers(0, (1 << 59) - 1), counter=legal_counters)
def test_a_ksn_has_its_counter_in_the_last_21_bits(identity: int, counter: int) -> None:
    serial = TdesKsn(InitialKsn((identity << 21).to_bytes(10, "big")), counter)
    assert serial.encode() == (identity << 21 | counter).to_bytes(10, "big")
    assert TdesKsn.decode(serial.encode()) == serial


@pytest.mark.parametrize("length", [*range(10), 11, 20])
def test_a_ksn_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(KeyMaterialError, match=f"KSN of {length} bytes; 10"):
        TdesKsn.decode((ksn(1).encode() * 2)[:length])


@pytest.mark.parametrize("counter", [0, 0x0007FF, 0x1FF801, 0x1FFFFF])
def test_a_ksn_with_a_counter_that_no_terminal_reaches_is_refused(counter: int) -> None:
    with pytest.raises(KeyMaterialError, match="no terminal reaches"):
        TdesKsn.decode((int.from_bytes(INITIAL_KSN, "big") | counter).to_bytes(10, "big"))


def test_no_side_shows_a_key() -> None:
    assert repr(host()) == "TdesHostDukpt()"
    assert repr(terminal()) == "TdesTerminalDukpt()"
