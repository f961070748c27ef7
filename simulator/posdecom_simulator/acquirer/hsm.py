"""What of the acquirer may see keys and card numbers: checks MACs, opens account data, and lets out neither.

Stands in for a hardware security module. One BDK serves all terminals; each has its own initial key id.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum
from typing import Final

from posdecom_protocol.aes_dukpt import HostDukpt, Ksn
from posdecom_protocol.data_elements import EncryptedAccount, masked_number
from posdecom_protocol.errors import KeyMaterialError
from posdecom_protocol.iso8583 import mac_input
from posdecom_protocol.money import CardGroup
from posdecom_protocol.protection import MAC_BYTES, MessageKeys, cmac8_matches, decrypt_account_data
from posdecom_protocol.secret import Secret

KEY_SETS_MAX: Final = 128
"""Held ready. Any KSN names one, before its MAC is known to be good: the oldest makes room."""

DOMESTIC_PREFIX: Final = "62"
"""UnionPay's issuer identification numbers."""


class _Use(Enum):
    MAC = 1
    ACCOUNT_DATA = 2


@dataclass(frozen=True, slots=True)
class Card:
    """What the books may know of a card."""

    digest: bytes
    """HMAC-SHA-256 of the card number (32 bytes): equal for equal cards, and nothing else."""
    group: CardGroup
    masked_number: str
    """20 digits, as in field 48."""


class Hsm:
    """``bdk``: base derivation key, 16 or 32 bytes; ``digest_key``: for `Card.digest`."""

    def __init__(self, bdk: Secret, digest_key: Secret) -> None:
        self._bdk: Final = bdk
        self._digest_key: Final = digest_key
        self._key_sets: dict[tuple[bytes, _Use], HostDukpt] = {}
        """One for each use: KSNs of MACs come in sequence, and so do those of account data, but not mixed."""

    def mac_is_good(self, ksn: bytes, message: bytes) -> bool:
        """Whether the last 8 bytes of ``message`` are its MAC under ``ksn``; False for an impossible KSN too."""
        try:
            keys = self._keys(ksn, _Use.MAC)
        except KeyMaterialError:
            return False
        with keys:
            return cmac8_matches(keys.mac, mac_input(message), message[-MAC_BYTES:])

    def data_mac_is_good(self, ksn: bytes, data: bytes, mac: bytes) -> bool:
        """The same of data that are no message."""
        try:
            keys = self._keys(ksn, _Use.MAC)
        except KeyMaterialError:
            return False
        with keys:
            return cmac8_matches(keys.mac, data, mac)

    def open_card(self, field_57: bytes, key_set: bytes) -> Card:
        """``key_set``: initial key id (8 bytes) of the terminal whose message it is.

        `MessageError` for an unknown scheme; `KeyMaterialError` for what another terminal encrypted, or what does not
        decrypt: account data lifted out of one terminal's message prove nothing in another's.
        """
        account = EncryptedAccount.decode(field_57)
        if not account.ksn.startswith(key_set):
            raise KeyMaterialError("account data are under the key set of another terminal")
        with self._keys(account.ksn, _Use.ACCOUNT_DATA) as keys:
            pan = decrypt_account_data(keys.data, account.cipher).pan
        digest = hmac.new(self._digest_key.data, pan.encode("ascii"), hashlib.sha256).digest()
        group = CardGroup.DOMESTIC if pan.startswith(DOMESTIC_PREFIX) else CardGroup.FOREIGN
        return Card(digest, group, masked_number(pan[:6], pan[-4:], len(pan)))

    def _keys(self, ksn_bytes: bytes, use: _Use) -> MessageKeys:
        ksn = Ksn.decode(ksn_bytes)
        name = ksn.initial_key_id, use
        if name not in self._key_sets:
            if len(self._key_sets) == KEY_SETS_MAX:
                self._key_sets.pop(next(iter(self._key_sets))).wipe()
            self._key_sets[name] = HostDukpt.from_bdk(self._bdk, ksn.initial_key_id)
        return self._key_sets[name].message_keys(ksn)
