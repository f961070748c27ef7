"""Every operation with every slot: the table and nothing else. Results by independent oracles where there are any."""

from __future__ import annotations

import warnings
from typing import Final

import psec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from posdecom_protocol.aes_dukpt import HostDukpt, InitialKeyId, KeyUsage, Ksn
from posdecom_protocol.errors import ExhaustedError, KeyMaterialError, LocalError
from posdecom_protocol.protection import cmac8
from posdecom_protocol.secret import Secret
from posdecom_protocol.tdes_dukpt import InitialKsn, TdesHostDukpt, TdesKeyUsage, TdesKsn
from posdecom_simulator.provision import seeded
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.key_loading import KeyRefused, Why, load_initial_key
from posdecom_simulator.terminal.keyring import RULES, Keyring, Operation
from posdecom_simulator.terminal.slots import Slot
from posdecom_simulator.terminal.store import MemoryStore

INITIAL_KEY_ID: Final = InitialKeyId(bytes.fromhex("1234567890123456"))
INITIAL_KSN: Final = InitialKsn(bytes.fromhex("FFFF9876543210E00000"))
INITIAL_KEY: Final = bytes.fromhex("6AC292FAA1315B4D858AB3A3D7D5933A")
ALLOWED: Final = {
    (Operation.ENCRYPT_PIN_BLOCK, "TPK"),
    (Operation.GENERATE_MAC, "TAK"),
    (Operation.VERIFY_MAC, "TAK"),
    (Operation.ENCRYPT_DATA, "TDK"),
    (Operation.ENCRYPT_DATA, "STORAGE"),
    (Operation.DECRYPT_DATA, "STORAGE"),
    (Operation.DUKPT_MAC, "DUKPT"),
    (Operation.DUKPT_MAC, "DUKPT-TDES"),
    (Operation.DUKPT_ENCRYPT, "DUKPT"),
    (Operation.DUKPT_ENCRYPT, "DUKPT-TDES"),
    (Operation.SIGN, "IDENTITY-CHANNEL"),
    (Operation.SIGN, "IDENTITY-ATTESTATION"),
}
"""Written down a second time on purpose."""


def key_of(slot: Slot) -> bytes:
    return bytes(range(slots.EVERY_SLOT.index(slot), slots.EVERY_SLOT.index(slot) + slot.key_bytes))


def filled() -> tuple[Keyring, MemoryStore]:
    store = MemoryStore()
    for slot in slots.EVERY_SLOT:
        store.put({slot.key: key_of(slot)})
    load_initial_key(store, slots.DUKPT, Secret(INITIAL_KEY), INITIAL_KEY_ID)
    load_initial_key(store, slots.DUKPT_TDES, Secret(INITIAL_KEY), INITIAL_KSN)
    return Keyring(store, seeded(1)), store


def argument(keyring: Keyring, operation: Operation, slot: Slot) -> bytes:
    """Data that the operation takes."""
    match operation:
        case Operation.VERIFY_MAC:
            return b"message!" + keyring.perform(Operation.GENERATE_MAC, slot, b"message!")
        case Operation.DECRYPT_DATA:
            return keyring.perform(Operation.ENCRYPT_DATA, slot, b"data")
        case Operation.DUKPT_ENCRYPT:
            return bytes(16)
        case _:
            return b"12345678"


@pytest.mark.parametrize("slot", slots.EVERY_SLOT, ids=lambda slot: slot.name)
@pytest.mark.parametrize("operation", Operation)
def test_an_operation_works_with_the_slots_of_its_usage_and_mode_only(
    operation: Operation, slot: Slot
) -> None:
    keyring, store = filled()
    if (operation, slot.name) in ALLOWED:
        assert keyring.perform(operation, slot, argument(keyring, operation, slot))
        return
    before = {name: store.get(name) for name in store.names()}
    with pytest.raises(KeyRefused) as caught:
        keyring.perform(operation, slot, bytes(16))
    is_own_usage = slot.usage == RULES[operation].usage
    assert caught.value.why is (Why.MODE if is_own_usage else Why.USAGE)
    assert {name: store.get(name) for name in store.names()} == before


@pytest.mark.parametrize(("operation", "name"), sorted(ALLOWED, key=str))
def test_an_empty_slot_does_nothing(operation: Operation, name: str) -> None:
    keyring, store = filled()
    slot = slots.BY_NAME[name]
    data = argument(keyring, operation, slot)
    store.erase((slot.key,))
    with pytest.raises(KeyRefused) as caught:
        keyring.perform(operation, slot, data)
    assert caught.value.why is Why.EMPTY


# --- what comes out -------------------------------------------------------------------------------


def test_the_tak_makes_a_retail_mac_and_checks_one() -> None:
    keyring, _ = filled()
    mac = keyring.perform(Operation.GENERATE_MAC, slots.TAK, b"a message")
    key = key_of(slots.TAK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert mac == psec.mac.generate_retail_mac(key[:8], key[8:], b"a message", 2)
    assert keyring.perform(Operation.VERIFY_MAC, slots.TAK, b"a message" + mac) == b"a message"
    for wrong in (b"A message" + mac, b"a message" + mac[:-1] + b"\0", mac, b""):
        with pytest.raises(KeyMaterialError):
            keyring.perform(Operation.VERIFY_MAC, slots.TAK, wrong)


def test_the_tpk_encrypts_one_pin_block() -> None:
    keyring, _ = filled()
    pin_block = bytes.fromhex("0412AC89ABCDEF67")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = psec.des.encrypt_tdes_ecb(key_of(slots.TPK), pin_block)
    assert keyring.perform(Operation.ENCRYPT_PIN_BLOCK, slots.TPK, pin_block) == expected
    for size in (0, 7, 9, 16):
        with pytest.raises(LocalError):
            keyring.perform(Operation.ENCRYPT_PIN_BLOCK, slots.TPK, bytes(size))


def test_what_the_tdk_encrypts_the_host_opens_and_the_terminal_does_not() -> None:
    keyring, _ = filled()
    sealed = keyring.perform(Operation.ENCRYPT_DATA, slots.TDK, b"data")
    assert AESGCM(key_of(slots.TDK)).decrypt(sealed[:12], sealed[12:], None) == b"data"
    assert sealed != keyring.perform(Operation.ENCRYPT_DATA, slots.TDK, b"data")
    with pytest.raises(KeyRefused, match="slot TDK is for another mode of use"):
        keyring.perform(Operation.DECRYPT_DATA, slots.TDK, sealed)


def test_data_at_rest_are_opened_again_and_only_whole() -> None:
    keyring, store = filled()
    sealed = keyring.perform(Operation.ENCRYPT_DATA, slots.STORAGE, b"data")
    assert keyring.perform(Operation.DECRYPT_DATA, slots.STORAGE, sealed) == b"data"
    for wrong in (sealed[:-1], b"\0" + sealed[1:], sealed[:11], b""):
        with pytest.raises(KeyMaterialError):
            keyring.perform(Operation.DECRYPT_DATA, slots.STORAGE, wrong)
    store.put({slots.STORAGE.key: bytes(32)})
    with pytest.raises(KeyMaterialError):
        keyring.perform(Operation.DECRYPT_DATA, slots.STORAGE, sealed)


def test_each_aes_dukpt_key_serves_once_and_the_host_finds_it_by_its_ksn() -> None:
    keyring, _ = filled()
    host = HostDukpt(Secret(INITIAL_KEY), INITIAL_KEY_ID)
    for counter in (1, 2, 3):
        answer = keyring.perform(Operation.DUKPT_MAC, slots.DUKPT, b"message")
        ksn = Ksn.decode(answer[:12])
        assert ksn.counter == counter
        assert answer[12:] == cmac8(host.message_keys(ksn).mac, b"message")
    sealed = keyring.perform(Operation.DUKPT_ENCRYPT, slots.DUKPT, b"sixteen bytes...")
    (key,) = host.working_keys(Ksn.decode(sealed[:12]), (KeyUsage.DATA_ENCRYPTION,))
    assert Cipher(AES(key.data), CBC(bytes(16))).decryptor().update(sealed[12:]) == b"sixteen bytes..."


def test_each_tdes_dukpt_key_serves_once_and_the_host_finds_it_by_its_ksn() -> None:
    keyring, _ = filled()
    host = TdesHostDukpt(Secret(INITIAL_KEY), INITIAL_KSN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for counter in (1, 2, 3):
            answer = keyring.perform(Operation.DUKPT_MAC, slots.DUKPT_TDES, b"message")
            ksn = TdesKsn.decode(answer[:10])
            assert ksn.counter == counter
            (key,) = host.working_keys(ksn, (TdesKeyUsage.MAC_REQUEST,))
            expected = psec.mac.generate_retail_mac(bytes(key.data[:8]), bytes(key.data[8:]), b"message", 2)
            assert answer[10:] == expected
        sealed = keyring.perform(Operation.DUKPT_ENCRYPT, slots.DUKPT_TDES, b"16 bytes of data")
        (key,) = host.working_keys(TdesKsn.decode(sealed[:10]), (TdesKeyUsage.DATA_REQUEST,))
        opened = psec.des.decrypt_tdes_cbc(bytes(key.data), bytes(8), sealed[10:])
    assert opened == b"16 bytes of data"


@pytest.mark.parametrize("size", [0, 1, 15, 17])
def test_dukpt_encrypts_whole_blocks_and_spends_no_key_on_others(size: int) -> None:
    keyring, store = filled()
    before = store.get(slots.DUKPT.key)
    with pytest.raises(LocalError):
        keyring.perform(Operation.DUKPT_ENCRYPT, slots.DUKPT, bytes(size))
    assert store.get(slots.DUKPT.key) == before


def test_a_spent_key_set_gives_nothing() -> None:
    keyring, store = filled()
    state = store.get(slots.DUKPT.key) or b""
    store.put({slots.DUKPT.key: state[:10] + bytes(4) + bytes(len(state) - 14)})
    with pytest.raises(ExhaustedError):
        keyring.perform(Operation.DUKPT_MAC, slots.DUKPT, b"message")


def test_the_new_key_set_is_stored_before_anything_leaves() -> None:
    """A power cut at the store: nothing was handed out, and the counter may serve again."""

    class Cut(Exception):
        pass

    def cut() -> None:
        if is_armed:
            raise Cut

    is_armed = False
    _, full = filled()
    store = MemoryStore(cut, {name: full.get(name) or b"" for name in full.names()})
    keyring = Keyring(store, seeded(1))
    is_armed = True
    with pytest.raises(Cut):
        keyring.perform(Operation.DUKPT_MAC, slots.DUKPT, b"message")
    is_armed = False
    assert keyring.perform(Operation.DUKPT_MAC, slots.DUKPT, b"other")[8:12] == bytes([0, 0, 0, 1])


def test_the_identity_signs_as_its_public_key_says() -> None:
    keyring, _ = filled()
    signature = keyring.perform(Operation.SIGN, slots.ATTESTATION_KEY, b"message")
    key = Ed25519PrivateKey.from_private_bytes(key_of(slots.ATTESTATION_KEY))
    key.public_key().verify(signature, b"message")
