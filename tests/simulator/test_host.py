"""The acquirer's host and its books: recounted from the population, and asked everything a terminal must not get."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from posdecom_protocol.aes_dukpt import InitialKeyId, Ksn, TerminalDukpt, initial_key
from posdecom_protocol.data_elements import BatchTotals, EncryptedAccount, UploadDetail, masked_number
from posdecom_protocol.errors import DocumentError, KeyMaterialError, LocalError
from posdecom_protocol.iso8583 import IsoMessage, decode, seal
from posdecom_protocol.money import CardGroup, GroupTotals, Tally, TransactionClass
from posdecom_protocol.protection import AccountData, MessageKeys, cmac8, encrypt_account_data
from posdecom_protocol.secret import Secret
from posdecom_simulator.acquirer.books import Alarm, AlarmKind, Denial, Finding, Posting, Source, decode_row
from posdecom_simulator.acquirer.host import ALARMS_PER_KIND_MAX, Behaviour, Host, ScriptedBehaviour
from posdecom_simulator.acquirer.hsm import Hsm
from posdecom_simulator.acquirer.ledger import Ledger, MemoryStore, Place, SqliteStore
from posdecom_simulator.history import read_history, write_history
from posdecom_simulator.population import Transaction
from posdecom_simulator.site import BookedTerminal
from shop import BDK, CONTEXTS, INITIAL_KEY_ID, converse, open_acquirer, open_shop, settle, terminal_keys

NOW = 1_900_000_000.0
DIGEST_KEY = b"card digest key"
SHOP = open_shop(seed=5, count=80)

DEBIT = {
    TransactionClass.SALE,
    TransactionClass.OFFLINE_SALE,
    TransactionClass.ADJUSTMENT,
    TransactionClass.COMPLETION,
}


# --- recounted


def digest(card_number: str) -> bytes:
    return hmac.new(DIGEST_KEY, card_number.encode(), hashlib.sha256).digest()


def recounted(day: list[Transaction], settled: bool) -> Counter[tuple[int, int, int, bytes]]:
    """Books by hand: STAN, class, amount, card. A reversal stands as the sale it is about until it is settled."""
    books: Counter[tuple[int, int, int, bytes]] = Counter()
    for one in day:
        kind = one.transaction_class
        if kind is TransactionClass.REVERSAL:
            kind = TransactionClass.SALE
            booked = one.posted and not settled
        else:
            booked = one.posted or (settled and kind is not TransactionClass.DECLINED)
        if booked:
            books[one.stan, kind, one.amount, digest(one.card_number)] += 1
    return books


def booked(ledger: Ledger, tid: str, batch: int) -> Counter[tuple[int, int, int, bytes]]:
    return Counter((p.stan, p.transaction_class, p.amount, p.card) for p in ledger.postings(tid, batch))


@pytest.mark.parametrize("seed", range(5))
def test_books_before_and_after_the_visit_are_what_a_recount_of_the_day_gives(seed: int) -> None:
    shop = open_shop(seed, count=120)
    host, ledger = open_acquirer(shop)
    for context in CONTEXTS:
        day = [one for one in shop.day if one.context == context.index]
        assert booked(ledger, context.tid, context.batch) == recounted(day, settled=False)
        converse(settle(shop, context.index), host)
        assert booked(ledger, context.tid, context.batch) == recounted(day, settled=True)
        for totals in ledger.totals(context.tid, context.batch):
            mine = [one for one in day if one.group is totals.group]
            debits = [one.amount for one in mine if one.transaction_class in DEBIT]
            assert totals.debit == Tally(len(debits), sum(debits))
    assert not ledger.alarms


# --- messages by hand

NONE = Tally()


def tellers_terminal(tid: str, key_set: InitialKeyId) -> BookedTerminal:
    return BookedTerminal(tid, key_set, bytes(8), (replace(CONTEXTS[0], tid=tid),))


OTHER_KEY_SET = InitialKeyId(bytes.fromhex("1234567899999999"))
MANY_KEY_SETS = [InitialKeyId(bytes.fromhex("12345678") + n.to_bytes(4, "big")) for n in range(70)]
BOOKED = (
    tellers_terminal("TERM0009", INITIAL_KEY_ID),
    tellers_terminal("TERM0010", INITIAL_KEY_ID),
    tellers_terminal("TERM0011", OTHER_KEY_SET),
    *(tellers_terminal(f"T{n:07d}", key_set) for n, key_set in enumerate(MANY_KEY_SETS)),
)


@dataclass
class Teller:
    """A terminal that says what it is told, with good MACs."""

    keys: TerminalDukpt = field(default_factory=terminal_keys)
    tid: str = "TERM0009"
    batch: int = 3
    stan: int = 500
    card: str = "6200000000000005"

    def message(self, mti: str, network_code: str, fields: dict[int, str | bytes], kind: str = "00") -> bytes:
        return self.under(*self.keys.next_message_keys(), mti, network_code, fields, kind)

    def under(
        self,
        ksn: Ksn,
        keys: MessageKeys,
        mti: str,
        network_code: str,
        fields: dict[int, str | bytes],
        kind: str = "00",
    ) -> bytes:
        self.stan += 1
        every: dict[int, str | bytes] = {
            11: f"{self.stan:06d}",
            41: self.tid,
            42: "123456789012345",
            53: ksn.encode(),
            60: kind + f"{self.batch:06d}" + network_code,
        }
        message = IsoMessage(bytes.fromhex("6000030000"), "603100310001", mti, every | fields)
        return seal(message, lambda data: cmac8(keys.mac, data))

    def account(self, card: str | None = None) -> bytes:
        ksn, keys = self.keys.next_message_keys()
        cipher = encrypt_account_data(keys.data, AccountData(card or self.card, "2912"))
        return EncryptedAccount(ksn.encode(), cipher).encode()

    def advice(self, amount: int = 1000, kind: str = "30", **changes: str | bytes) -> bytes:
        fields: dict[int, str | bytes] = {3: "000000", 4: f"{amount:012d}", 49: "156", 57: self.account()}
        return self.message("0220", "000", fields | {int(n[1:]): v for n, v in changes.items()}, kind)

    def reversal(self, stan: int, amount: int = 1000, kind: str = "22") -> bytes:
        original = f"{self.batch:06d}{stan:06d}0115"
        fields: dict[int, str | bytes] = {3: "000000", 4: f"{amount:012d}", 39: "98", 49: "156", 61: original}
        return self.message("0400", "000", fields, kind)

    def totals(self, domestic: Tally, foreign: Tally = NONE, currency: str = "156") -> bytes:
        groups = GroupTotals(CardGroup.DOMESTIC, domestic), GroupTotals(CardGroup.FOREIGN, foreign)
        return self.message("0500", "201", {48: BatchTotals(groups).encode(), 49: currency})

    def upload(self, stan: int, amount: int = 1000, kind: str = "30", card: str | None = None) -> bytes:
        number = card or self.card
        group = CardGroup.DOMESTIC if number.startswith("62") else CardGroup.FOREIGN
        detail = UploadDetail(group, stan, masked_number(number[:6], number[-4:], len(number)), amount)
        return self.message("0320", "201", {48: detail.encode(), 49: "156", 57: self.account(number)}, kind)

    def end(self, balanced: bool, count: int = 0) -> bytes:
        return self.message("0320", "207" if balanced else "202", {48: f"{count:04d}"})


@dataclass
class Counterpart:
    """A host with empty books, and a teller who talks to it."""

    teller: Teller
    host: Host
    ledger: Ledger
    hsm: Hsm

    def code(self, message: bytes) -> str:
        answer = self.host.answer(message, NOW)
        assert answer is not None
        return decode(answer).text(39)

    def replies(self, message: bytes) -> tuple[int, int]:
        answer = self.host.answer(message, NOW)
        assert answer is not None
        return BatchTotals.decode(decode(answer).text(48)).replies

    def amounts(self) -> list[int]:
        return [one.amount for one in self.ledger.postings(self.teller.tid, self.teller.batch)]

    def findings(self) -> list[Finding]:
        return [one.finding for one in self.ledger.uploads(self.teller.tid, self.teller.batch)]

    def alarms(self) -> list[AlarmKind]:
        return [alarm.kind for alarm in self.ledger.alarms]


def counterpart(behaviour: Behaviour | None = None) -> Counterpart:
    hsm = Hsm(Secret(BDK), Secret(DIGEST_KEY))
    ledger = Ledger(MemoryStore())
    return Counterpart(Teller(), Host(ledger, hsm, BOOKED, behaviour), ledger, hsm)


def test_an_advice_is_booked_once_with_a_digest_of_its_card_and_answered_to_its_sender() -> None:
    c = counterpart()
    answer = c.host.answer(c.teller.advice(1250), NOW)
    assert answer is not None
    message = decode(answer)
    assert (message.mti, message.tpdu.hex(), message.text(39)) == ("0230", "6000000003", "00")
    assert message.text(4) == "000000001250"
    assert 57 not in message.fields
    (posting,) = c.ledger.postings("TERM0009", 3)
    assert posting == Posting(
        tid="TERM0009",
        mid="123456789012345",
        batch=3,
        stan=501,
        transaction_class=TransactionClass.OFFLINE_SALE,
        group=CardGroup.DOMESTIC,
        amount=1250,
        currency=156,
        card=digest(c.teller.card),
        source=Source.ADVICE,
        at=int(NOW),
    )


def test_the_same_bytes_again_are_94_and_change_nothing() -> None:
    c = counterpart()
    advice = c.teller.advice()
    assert [c.code(advice), c.code(advice), c.code(advice)] == ["00", "94", "94"]
    assert c.amounts() == [1000]
    assert not c.ledger.alarms


def test_the_envelope_is_not_part_of_what_is_the_same() -> None:
    c = counterpart()
    advice = c.teller.advice()
    assert c.code(advice) == "00"
    assert c.code(bytes.fromhex("6000040000603200310001") + advice[11:]) == "94"


def test_other_bytes_under_a_used_ksn_are_refused_and_raise_an_alarm() -> None:
    c = counterpart()
    ksn, keys = c.teller.keys.next_message_keys()
    first = c.teller.under(ksn, keys, "0820", "002", {})
    second = c.teller.under(ksn, keys, "0820", "002", {})
    assert [c.code(first), c.code(second), c.code(first)] == ["00", "63", "94"]
    assert c.ledger.alarms == [Alarm(AlarmKind.KSN_REUSED, "TERM0009", 502, int(NOW))]


def test_other_bytes_under_a_used_stan_are_refused_and_raise_an_alarm() -> None:
    c = counterpart()
    assert c.code(c.teller.advice(1000)) == "00"
    c.teller.stan -= 1
    assert c.code(c.teller.advice(9000)) == "63"
    assert c.alarms() == [AlarmKind.STAN_REUSED]
    assert c.amounts() == [1000]


def test_the_same_stan_of_another_terminal_or_batch_is_another_message() -> None:
    c = counterpart()
    assert c.code(c.teller.advice()) == "00"
    for tid, batch in (("TERM0010", 3), ("TERM0009", 4)):
        c.teller.tid, c.teller.batch, c.teller.stan = tid, batch, 500
        assert c.code(c.teller.advice()) == "00"
    assert not c.ledger.alarms


def test_every_byte_from_the_mti_to_the_mac_is_under_the_mac() -> None:
    c = counterpart()
    good = c.teller.advice()
    for at in range(11, len(good)):
        bad = bytearray(good)
        bad[at] ^= 0x01
        answer = c.host.answer(bytes(bad), NOW)
        assert answer is None or decode(answer).text(39) in ("A0", "58")
    assert set(c.alarms()) == {AlarmKind.MALFORMED, AlarmKind.BAD_MAC, AlarmKind.KSN_FOREIGN}
    assert c.amounts() == []
    assert c.code(good) == "00", "a forgery does not take the place of the real message"


def test_a_ksn_that_no_terminal_reaches_has_no_good_mac() -> None:
    c = counterpart()
    _, keys = c.teller.keys.next_message_keys()
    impossible = IsoMessage(
        bytes.fromhex("6000030000"),
        "603100310001",
        "0820",
        {11: "000001", 41: "TERM0009", 42: "1" * 15, 53: INITIAL_KEY_ID + b"\xff" * 4, 60: "00000003002"},
    )
    assert c.code(seal(impossible, lambda data: cmac8(keys.mac, data))) == "A0"


def test_bytes_that_are_no_message_get_no_answer_but_an_alarm() -> None:
    c = counterpart()
    no_mac = IsoMessage(bytes.fromhex("6000030000"), "603100310001", "0820", {11: "000001"}).encode()
    assert [c.host.answer(data, NOW) for data in (b"", b"garbage", no_mac)] == [None, None, None]
    assert c.alarms() == [AlarmKind.MALFORMED] * 3


def test_bytes_that_are_no_message_leave_no_more_alarms_than_somebody_will_read() -> None:
    c = counterpart()
    for _ in range(ALARMS_PER_KIND_MAX + 1):
        c.host.answer(b"garbage", NOW)
    assert c.alarms() == [AlarmKind.MALFORMED] * ALARMS_PER_KIND_MAX
    c.ledger.commit([Denial(INITIAL_KEY_ID, int(NOW))])
    assert c.code(c.teller.advice()) == "58"
    assert c.alarms()[-1] is AlarmKind.KSN_DENIED, "of another kind there is room"


@pytest.mark.parametrize("mti", ["0000", "0230", "0999", "9995"])
def test_an_mti_of_no_request_gets_no_answer(mti: str) -> None:
    c = counterpart()
    assert c.host.answer(c.teller.message(mti, "000", {}), NOW) is None
    assert c.alarms() == [AlarmKind.MALFORMED]


def test_numbers_that_are_none_are_a_matter_of_format() -> None:
    c = counterpart()
    for currency in ("abc", " 12", "1_0"):
        assert c.code(c.teller.advice(f49=currency)) == "30"
    for count in ("1", "00001"):
        assert c.code(c.teller.message("0320", "202", {48: count})) == "30"
    assert c.amounts() == []


def test_a_key_set_speaks_for_its_own_terminal_only() -> None:
    """One base derivation key serves all terminals: a good MAC alone does not say whose it is."""
    c = counterpart()
    assert c.code(c.teller.advice(1000)) == "00"
    keys = TerminalDukpt.load(initial_key(Secret(BDK), OTHER_KEY_SET), OTHER_KEY_SET)
    stranger = Teller(keys, stan=700)
    assert c.code(stranger.reversal(501)) == "58"
    assert c.code(stranger.end(balanced=False)) == "58"
    assert c.amounts() == [1000]
    assert c.alarms() == [AlarmKind.KSN_FOREIGN] * 2
    stranger.tid = "TERM0011"
    assert c.code(stranger.advice()) == "00"
    stranger.tid = "TERM9999"
    assert c.code(stranger.advice()) == "58", "a terminal that is in no books"


def test_no_more_is_given_back_than_was_sold() -> None:
    c = counterpart()
    assert c.code(c.teller.advice(1000)) == "00"
    sale = f"000003{c.teller.stan:06d}0115"
    assert c.code(c.teller.advice(1001, kind="25", f61=sale)) == "64"
    assert c.code(c.teller.advice(600, kind="25", f61=sale)) == "00"
    assert c.code(c.teller.advice(401, kind="25", f61=sale)) == "64"
    assert c.code(c.teller.advice(400, kind="25", f61=sale)) == "00"
    assert c.code(c.teller.advice(1, kind="25", f61=sale)) == "64"
    assert c.amounts() == [1000, 600, 400]


def test_a_revoked_key_set_gets_nothing_taken_any_more() -> None:
    c = counterpart()
    c.ledger.commit([Denial(INITIAL_KEY_ID, int(NOW))])
    assert c.code(c.teller.advice()) == "58"
    assert c.alarms() == [AlarmKind.KSN_DENIED]
    assert c.amounts() == []


def test_a_message_nobody_knows_is_refused_for_good() -> None:
    c = counterpart()
    message = c.teller.message("0320", "208", {48: "0000"})
    assert [c.code(message), c.code(message)] == ["12", "12"]
    assert c.code(c.teller.advice(kind="22")) == "12", "a sale is not advised"


def test_account_data_that_do_not_open_are_refused() -> None:
    c = counterpart()
    broken = bytearray(c.teller.account())
    broken[-1] ^= 1
    assert c.code(c.teller.advice(f57=bytes(broken))) == "14"
    assert c.code(c.teller.advice(f57=b"\x07" + bytes(44))) == "30"
    assert c.code(c.teller.message("0220", "000", {4: "0" * 12, 49: "156"}, "30")) == "30"
    assert c.amounts() == []


def test_an_advice_that_was_booked_before_the_freeze_is_not_booked_again() -> None:
    """Its answer was lost then, so the terminal prepared it anew: same transaction, other KSN."""
    c = counterpart()
    known = Posting(
        "TERM0009", "1" * 15, 3, 501, TransactionClass.OFFLINE_SALE, CardGroup.DOMESTIC, 1000, 156,
        digest(c.teller.card), Source.ONLINE, 0,
    )  # fmt: skip
    c.ledger.seed_posted([known])
    assert c.code(c.teller.advice(1000)) == "94"
    assert c.amounts() == [1000]
    other = counterpart()
    other.ledger.seed_posted([known])
    assert other.code(other.teller.advice(1001)) == "63"
    assert other.amounts() == [1000]


def test_an_adjustment_needs_its_sale_in_the_books() -> None:
    c = counterpart()
    assert c.code(c.teller.advice(50, kind="32", f61="0000030005550115")) == "25"
    assert c.code(c.teller.advice(1000)) == "00"
    sale = f"000003{c.teller.stan:06d}0115"
    assert c.code(c.teller.advice(50, kind="32", f61=sale)) == "00"
    assert c.code(c.teller.advice(50, kind="32", f61="000004" + sale[6:])) == "30", "another batch"
    assert c.amounts() == [1000, 50]


def test_a_reversal_takes_its_sale_out_of_the_books_whatever_came_first() -> None:
    c = counterpart()
    assert c.code(c.teller.advice(1000)) == "00"
    sale = c.teller.stan
    assert c.code(c.teller.reversal(sale, amount=999)) == "64"
    assert c.amounts() == [1000]
    assert c.code(c.teller.reversal(sale)) == "00"
    assert c.amounts() == []
    assert c.code(c.teller.reversal(sale)) == "00", "a reversal of what is gone is as good"
    assert c.code(c.teller.reversal(777)) == "00", "and of what never came"
    c.teller.stan = 776
    assert c.code(c.teller.advice(1000)) == "12", "which then may not come any more"
    assert c.amounts() == []


def test_a_preauthorisation_is_released_by_its_void_and_is_in_no_total() -> None:
    c = counterpart()
    preauth = Posting(
        "TERM0009", "1" * 15, 3, 77, TransactionClass.PREAUTH, CardGroup.DOMESTIC, 5000, 156,
        digest(c.teller.card), Source.ONLINE, 0,
    )  # fmt: skip
    c.ledger.seed_posted([preauth])
    assert c.ledger.totals("TERM0009", 3)[0] == GroupTotals(CardGroup.DOMESTIC)
    assert c.code(c.teller.reversal(78, 5000, kind="11")) == "25"
    assert c.code(c.teller.reversal(77, 5000, kind="11")) == "00"
    assert c.ledger.postings("TERM0009", 3) == []


def test_totals_are_compared_by_group_in_count_and_amount() -> None:
    c = counterpart()
    assert c.code(c.teller.advice(1000)) == "00"
    c.teller.card = "4000000000000002"
    assert c.code(c.teller.advice(700)) == "00"
    assert c.replies(c.teller.totals(Tally(1, 1000), Tally(1, 700))) == (1, 1)
    assert c.replies(c.teller.totals(Tally(1, 1000), Tally(1, 701))) == (1, 2)
    assert c.replies(c.teller.totals(Tally(2, 1000), Tally(1, 700))) == (2, 1)
    assert c.replies(c.teller.totals(Tally(1, 1700))) == (2, 2), "the sum alone is not enough"
    assert c.replies(c.teller.totals(Tally(1, 1000), Tally(1, 700), "840")) == (3, 3)


def test_repeated_totals_say_again_what_they_said() -> None:
    c = counterpart()
    totals = c.teller.totals(Tally(1, 1000))
    assert c.replies(totals) == (2, 1)
    assert c.code(c.teller.advice(1000)) == "00"
    assert c.replies(totals) == (2, 1)
    assert c.code(totals) == "94"


def test_an_upload_confirms_books_or_disputes() -> None:
    c = counterpart(ScriptedBehaviour(refuse={502: "05"}))
    assert c.code(c.teller.advice(1000)) == "00"
    assert c.code(c.teller.advice(2000)) == "05"
    for upload in (
        c.teller.upload(501),
        c.teller.upload(502, 2000),
        c.teller.upload(400, 300),
        c.teller.upload(501, 1001),
        c.teller.upload(501, card="6200000000000013"),
        c.teller.upload(400, 300),
    ):
        assert c.code(upload) == "00"
    agrees, disputed, posted = Finding.AGREES, Finding.DISPUTED, Finding.POSTED
    assert c.findings() == [agrees, disputed, posted, disputed, disputed, agrees]
    assert c.amounts() == [1000, 300], "what was refused does not come in by the back door"


def test_an_upload_whose_mask_is_of_another_card_is_disputed() -> None:
    c = counterpart()
    detail = UploadDetail(CardGroup.DOMESTIC, 400, masked_number("620000", "9999", 16), 300)
    fields: dict[int, str | bytes] = {48: detail.encode(), 49: "156", 57: c.teller.account()}
    assert c.code(c.teller.message("0320", "201", fields, "30")) == "00"
    assert c.findings() == [Finding.DISPUTED]
    assert c.amounts() == []


def test_an_upload_that_puts_its_card_into_the_wrong_group_is_disputed() -> None:
    c = counterpart()
    detail = UploadDetail(CardGroup.FOREIGN, 400, masked_number("620000", "0005", 16), 300)
    fields: dict[int, str | bytes] = {48: detail.encode(), 49: "156", 57: c.teller.account()}
    assert c.code(c.teller.message("0320", "201", fields, "30")) == "00"
    assert c.findings() == [Finding.DISPUTED]


def test_what_the_terminal_did_not_name_is_left_for_a_person() -> None:
    c = counterpart()
    assert [c.code(c.teller.advice(1000)), c.code(c.teller.advice(2000))] == ["00", "00"]
    assert c.code(c.teller.upload(502, 2000)) == "00"
    assert c.ledger.unconfirmed("TERM0009", 3) == []
    assert c.code(c.teller.end(balanced=False, count=1)) == "00"
    assert [one.stan for one in c.ledger.unconfirmed("TERM0009", 3)] == [501]


def test_a_batch_does_not_end_before_what_its_end_announces_is_there() -> None:
    c = counterpart()
    end = c.teller.end(balanced=False, count=2)
    assert c.code(end) == "12"
    assert c.code(c.teller.upload(401)) == "00"
    assert c.code(c.teller.upload(401)) == "00", "the same transaction once more"
    assert c.code(end) == "12"
    assert c.code(c.teller.upload(402)) == "00"
    assert c.code(end) == "00", "what came too early may come again"
    assert c.amounts() == [1000, 1000]


def test_an_upload_that_was_refused_does_not_keep_its_batch_open() -> None:
    c = counterpart(ScriptedBehaviour(refuse={502: "05"}))
    assert [c.code(c.teller.upload(401)), c.code(c.teller.upload(402))] == ["00", "05"]
    assert c.code(c.teller.upload(403, kind="00")) == "12"
    assert c.code(c.teller.end(balanced=False, count=3)) == "00"
    assert c.findings() == [Finding.POSTED, Finding.REFUSED, Finding.REFUSED]
    assert c.amounts() == [1000]


def test_an_end_that_needs_balanced_totals_may_come_again_once_they_are() -> None:
    c = counterpart()
    assert c.code(c.teller.advice(1000)) == "00"
    end = c.teller.end(balanced=True)
    assert c.code(end) == "12"
    assert c.replies(c.teller.totals(Tally(1, 1000))) == (1, 1)
    assert c.code(end) == "00"


def test_a_batch_ends_balanced_only_if_it_is_and_then_takes_nothing_but_the_sign_off() -> None:
    c = counterpart()
    advice = c.teller.advice(1000)
    assert c.code(advice) == "00"
    assert c.code(c.teller.end(balanced=True)) == "12", "no totals yet"
    assert c.replies(c.teller.totals(Tally(1, 999))) == (2, 1)
    assert c.code(c.teller.end(balanced=True)) == "12"
    assert c.replies(c.teller.totals(Tally(1, 1000))) == (1, 1)
    assert c.code(c.teller.end(balanced=True)) == "00"
    assert c.ledger.unconfirmed("TERM0009", 3) == [], "nothing had to be named"
    assert c.code(c.teller.advice(5)) == "77"
    assert c.code(advice) == "94"
    assert not c.ledger.is_signed_off("TERM0009", 3)
    assert c.code(c.teller.message("0820", "002", {})) == "00"
    assert c.ledger.is_signed_off("TERM0009", 3)


def test_more_terminals_than_the_hsm_holds_ready_are_served_all_the_same() -> None:
    c = counterpart()
    key_sets = [TerminalDukpt.load(initial_key(Secret(BDK), one), one) for one in MANY_KEY_SETS]
    tellers = [Teller(keys, tid=f"T{n:07d}") for n, keys in enumerate(key_sets)]
    for _ in range(2):
        assert [c.code(teller.advice()) for teller in tellers] == ["00"] * 70


# --- stores


class Witness(Behaviour):
    """Looks into the file at the moment when the answer would go out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kinds: list[list[str]] = []

    def answers(self, request: IsoMessage) -> bool:
        with sqlite3.connect(self.path) as other:
            self.kinds.append([kind for (kind,) in other.execute("SELECT kind FROM row ORDER BY n")])
        other.close()
        return True


def test_a_ledger_in_a_file_has_it_before_the_answer_goes_out_and_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    witness = Witness(path)
    store = SqliteStore(path)
    host, ledger = open_acquirer(SHOP, witness, store)
    online = sum(one.posted for one in SHOP.stored)
    converse(settle(SHOP, 0), host)
    store.close()
    assert witness.kinds[0] == ["posting"] * online + ["withdrawal", "exchange"]
    reopened = SqliteStore(path)
    _, again = open_acquirer(SHOP, store=reopened)
    reopened.close()
    in_memory_host, in_memory = open_acquirer(SHOP)
    converse(settle(SHOP, 0), in_memory_host)
    for context in CONTEXTS:
        batch = context.tid, context.batch
        assert again.postings(*batch) == ledger.postings(*batch)
        assert booked(again, *batch) == booked(in_memory, *batch)
        assert again.batch_end(*batch) == ledger.batch_end(*batch)
    assert path.read_bytes().find(SHOP.day[0].card_number.encode()) == -1


def test_a_row_of_an_unknown_kind_is_not_skipped() -> None:
    with pytest.raises(DocumentError, match="unknown kind"):
        decode_row("gossip", b"")


# --- history


def test_history_names_what_the_host_had_and_no_card_number() -> None:
    lines = list(write_history(CONTEXTS, SHOP.stored))
    assert len(lines) == sum(one.posted for one in SHOP.day)
    text = "".join(lines)
    assert not any(one.card_number in text for one in SHOP.day)
    postings = list(read_history(lines, Hsm(Secret(BDK), Secret(DIGEST_KEY))))
    expected = [one for one in SHOP.day if one.posted]
    for posting, sold in zip(postings, expected, strict=True):
        assert (posting.stan, posting.amount, posting.group) == (sold.stan, sold.amount, sold.group)
        assert posting.card == digest(sold.card_number)
        assert posting.original == (0 if sold.original is None else SHOP.number(sold.original).stan)
        if sold.transaction_class is TransactionClass.REVERSAL:
            assert posting.transaction_class is TransactionClass.SALE


def test_history_of_before_it_named_originals_is_read_as_naming_none() -> None:
    older = [json.loads(line) for line in write_history(CONTEXTS, SHOP.stored)]
    assert any(line["original"] for line in older)
    for line in older:
        del line["original"]
    postings = read_history(map(json.dumps, older), Hsm(Secret(BDK), Secret(DIGEST_KEY)))
    assert {one.original for one in postings} == {0}


def test_history_loaded_twice_is_booked_once() -> None:
    ledger = Ledger(MemoryStore())
    hsm = Hsm(Secret(BDK), Secret(DIGEST_KEY))
    for _ in range(2):
        ledger.seed_posted(read_history(write_history(CONTEXTS, SHOP.stored), hsm))
    for context in CONTEXTS:
        day = [one for one in SHOP.day if one.context == context.index]
        assert booked(ledger, context.tid, context.batch) == recounted(day, settled=False)


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"tid": 1}'])
def test_a_line_that_is_no_history_is_named(line: str) -> None:
    good = next(iter(write_history(CONTEXTS, SHOP.stored)))
    with pytest.raises(LocalError, match="line 2"):
        list(read_history([good, line], Hsm(Secret(BDK), Secret(DIGEST_KEY))))


def test_history_of_another_acquirer_does_not_open() -> None:
    with pytest.raises(KeyMaterialError):
        list(read_history(write_history(CONTEXTS, SHOP.stored), Hsm(Secret(bytes(16)), Secret(DIGEST_KEY))))


def test_a_place_is_terminal_batch_and_stan() -> None:
    c = counterpart()
    assert c.code(c.teller.advice()) == "00"
    assert c.ledger.posting(Place("TERM0009", 3, 501)) is not None
    assert c.ledger.posting(Place("TERM0009", 3, 502)) is None
