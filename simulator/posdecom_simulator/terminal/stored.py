"""A transaction as the terminal keeps it: everything but the card number, which is encrypted at the time of sale.

The account data are under the data key of a KSN of their own; the terminal's DUKPT has forgotten that key when
`store_transaction` returns, so that not even the terminal can read them again. What is left in the clear is the
first six and the last four digits.

The MAC key of that KSN serves once, too: `mac` covers the record as a tampered terminal gives it away (`salvage`), so
that the acquirer can tell what was sold here from what somebody made up.

Layout (big-endian): number 4, context 1, class 1, group 1, posted 1, amount 6, STAN 3, RRN 12, authorisation code
6 (blanks if none), local time 6 BCD, original 4 (0 if none), first six 3 BCD, last four 2 BCD, digits of the card
number 1, MAC 8, account data (field 57) with 1 byte of length, chip data (field 55, empty for a magnetic stripe)
likewise.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import construct

from posdecom_protocol.aes_dukpt import Ksn
from posdecom_protocol.data_elements import EncryptedAccount
from posdecom_protocol.errors import LocalError
from posdecom_protocol.money import CardGroup, TransactionClass
from posdecom_protocol.protection import MAC_BYTES, AccountData, MessageKeys, cmac8, encrypt_account_data
from posdecom_protocol.records import Summary
from posdecom_protocol.salvage import SalvagedRecord, encode_salvaged, salvage_mac_input

from ..population import Transaction


class Keys(Protocol):
    """What is needed of the terminal's key set; `aes_dukpt.TerminalDukpt` has it."""

    def next_message_keys(self) -> tuple[Ksn, MessageKeys]:
        """A KSN never given before, with its MAC key and data key."""


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """Fields as in `population.Transaction`, but for the card."""

    number: int
    context: int
    transaction_class: TransactionClass
    group: CardGroup
    amount: int
    stan: int
    rrn: str
    auth_code: str
    local_time: str
    posted: bool
    original: int | None
    first6: str
    last4: str
    card_digits: int
    """How many digits the card number has."""
    account_data: bytes = field(repr=False)
    """Field 57: scheme, KSN, ciphertext."""
    chip_data: bytes = field(default=b"", repr=False)
    """Field 55 (chip_data.py); empty where no chip took part."""
    mac: bytes = bytes(MAC_BYTES)
    """Of the time of sale; zeros for what was made out of another record later: that one's key is gone."""

    @property
    def is_answered(self) -> bool:
        """Whether the host answered it at the time of sale: then its time is the host's."""
        return not self.rrn.isspace()

    @property
    def is_chip(self) -> bool:
        return bool(self.chip_data)

    def given_back(self, number: int, stan: int, *, posted: bool) -> StoredTransaction:
        """The refund of all of this sale. No card is there for it, so no chip takes part."""
        kind = TransactionClass.REFUND
        return replace(
            self,
            number=number,
            transaction_class=kind,
            stan=stan,
            posted=posted,
            original=self.number,
            rrn=" " * 12,
            chip_data=b"",
            mac=bytes(MAC_BYTES),
        )

    def summary(self, currency: int) -> Summary:
        """What may be shown of it. ``currency``: of its context, ISO 4217 numeric."""
        return Summary(
            record=self.number,
            transaction_class=self.transaction_class,
            group=self.group,
            stan=self.stan,
            rrn=self.rrn,
            amount=self.amount,
            currency=currency,
            local_time=self.local_time,
            first6=self.first6,
            last4=self.last4,
        )

    def salvaged(self, currency: int) -> SalvagedRecord:
        """All that is left of it when the keys are gone."""
        return SalvagedRecord(
            context=self.context,
            posted=self.posted,
            summary=self.summary(currency),
            auth_code=self.auth_code.ljust(6),
            original=self.original or 0,
            account_data=self.account_data,
            chip_data=self.chip_data,
            mac=self.mac,
        )

    def encode(self) -> bytes:
        """The record's bytes, see the module."""
        data: bytes = _RECORD.build(
            {
                "number": self.number,
                "context": self.context,
                "transaction_class": self.transaction_class,
                "group": self.group,
                "posted": self.posted,
                "amount": self.amount,
                "stan": self.stan,
                "rrn": self.rrn.encode("ascii"),
                "auth_code": self.auth_code.ljust(6).encode("ascii"),
                "local_time": bytes.fromhex(self.local_time),
                "original": self.original or 0,
                "first6": bytes.fromhex(self.first6),
                "last4": bytes.fromhex(self.last4),
                "card_digits": self.card_digits,
                "mac": self.mac,
                "account_data": self.account_data,
                "chip_data": self.chip_data,
            }
        )
        return data

    @classmethod
    def decode(cls, data: bytes) -> StoredTransaction:
        """Inverse of `encode`; `LocalError` on anything else: the store has already judged its checksums."""
        try:
            row = _RECORD.parse(data)
            return cls(
                number=row.number,
                context=row.context,
                transaction_class=TransactionClass(row.transaction_class),
                group=CardGroup(row.group),
                amount=row.amount,
                stan=row.stan,
                rrn=bytes(row.rrn).decode("ascii"),
                auth_code=bytes(row.auth_code).decode("ascii").rstrip(),
                local_time=bytes(row.local_time).hex(),
                posted=row.posted,
                original=row.original or None,
                first6=bytes(row.first6).hex(),
                last4=bytes(row.last4).hex(),
                card_digits=row.card_digits,
                mac=bytes(row.mac),
                account_data=bytes(row.account_data),
                chip_data=bytes(row.chip_data),
            )
        except (construct.ConstructError, ValueError):
            raise LocalError("stored transaction is malformed") from None


_RECORD: Final = construct.Struct(
    "number" / construct.Int32ub,
    "context" / construct.Int8ub,
    "transaction_class" / construct.Int8ub,
    "group" / construct.Int8ub,
    "posted" / construct.Flag,
    "amount" / construct.BytesInteger(6),
    "stan" / construct.Int24ub,
    "rrn" / construct.Bytes(12),
    "auth_code" / construct.Bytes(6),
    "local_time" / construct.Bytes(6),
    "original" / construct.Int32ub,
    "first6" / construct.Bytes(3),
    "last4" / construct.Bytes(2),
    "card_digits" / construct.Int8ub,
    "mac" / construct.Bytes(MAC_BYTES),
    "account_data" / construct.Prefixed(construct.Int8ub, construct.GreedyBytes),
    "chip_data" / construct.Prefixed(construct.Int8ub, construct.GreedyBytes),
    construct.Terminated,
)


def store_transaction(transaction: Transaction, keys: Keys, currency: int) -> StoredTransaction:
    """What the terminal keeps of ``transaction``; spends one KSN. ``currency``: of its context."""
    ksn, message_keys = keys.next_message_keys()
    with message_keys:
        account = AccountData(transaction.card_number, transaction.expiry)
        cipher = encrypt_account_data(message_keys.data, account)
        stored = _stored(transaction, EncryptedAccount(ksn.encode(), cipher))
        salvaged = encode_salvaged(stored.salvaged(currency))
        return replace(stored, mac=cmac8(message_keys.mac, salvage_mac_input(salvaged)))


def _stored(transaction: Transaction, account: EncryptedAccount) -> StoredTransaction:
    card = transaction.card_number
    return StoredTransaction(
        number=transaction.number,
        context=transaction.context,
        transaction_class=transaction.transaction_class,
        group=transaction.group,
        amount=transaction.amount,
        stan=transaction.stan,
        rrn=transaction.rrn,
        auth_code=transaction.auth_code,
        local_time=transaction.local_time,
        posted=transaction.posted,
        original=transaction.original,
        first6=card[:6],
        last4=card[-4:],
        card_digits=len(card),
        account_data=account.encode(),
        chip_data=transaction.chip_data,
    )
