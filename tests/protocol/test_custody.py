"""What goes to the desk and comes back, and every other stream that is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from posdecom_protocol import custody
from posdecom_protocol.custody import (
    Custody,
    decode_custody,
    decode_receipts,
    decode_salvage,
    encode_custody,
    encode_receipts,
    encode_salvage,
    read_custody,
    read_salvaged,
)
from posdecom_protocol.errors import MessageError
from posdecom_protocol.messages import (
    ITEMS_PER_BULK_BYTES,
    RECEIPTS_BYTES_MAX,
    Items,
    Message,
    Proof,
    ProofKind,
    Reader,
    Salvaged,
    Thawed,
    encode,
)

ORDER, SEAL = Proof(ProofKind.ORDER, b"order"), Proof(ProofKind.SEAL, b"seal")


def stream(*messages: Message) -> bytes:
    return b"".join(map(encode, messages))


def test_a_custody_is_order_seal_and_items_in_the_messages_of_the_line() -> None:
    data = b"".join(encode_custody(b"order", b"seal", [b"a", b"bcd"]))
    expected = (
        "88 000009 01 000005 6F72646572"
        "88 000008 02 000004 7365616C"
        "84 00000E 00000001 0002 0001 61 0003 626364"
    )
    assert data.hex() == bytes.fromhex(expected.replace(" ", "")).hex()
    assert decode_custody(data) == Custody(b"order", b"seal", (b"a", b"bcd"))


def test_a_seal_without_items_is_a_custody() -> None:
    assert b"".join(encode_custody(b"order", b"seal", ())) == stream(ORDER, SEAL)
    assert decode_custody(stream(ORDER, SEAL)) == Custody(b"order", b"seal", ())


def test_many_items_go_in_bulks_and_come_back_in_order() -> None:
    items = tuple(number.to_bytes(2, "big") * 500 for number in range(1, 101))
    pieces = list(encode_custody(b"order", b"seal", items))
    bulks = [message for piece in pieces[2:] for message in Reader().receive(piece)]
    sizes = [sum(map(len, bulk.items)) for bulk in bulks if isinstance(bulk, Items)]
    assert len(bulks) == 7
    assert max(sizes) <= ITEMS_PER_BULK_BYTES
    assert decode_custody(b"".join(pieces)).items == items


def test_an_item_longer_than_a_bulk_has_one_to_itself() -> None:
    items = (b"a", bytes(ITEMS_PER_BULK_BYTES + 1), b"b")
    pieces = list(encode_custody(b"order", b"seal", items))
    assert len(pieces) == 2 + 3
    assert decode_custody(b"".join(pieces)).items == items


def test_items_are_taken_from_the_source_only_as_they_are_sent() -> None:
    taken = []

    def source() -> Iterator[bytes]:
        for number in range(100):
            taken.append(number)
            yield bytes(1000)

    pieces = encode_custody(b"order", b"seal", source())
    for _ in range(3):
        next(pieces)
    assert len(taken) == 17


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "begin with order and seal"),
        (stream(ORDER), "begin with order and seal"),
        (stream(SEAL, ORDER), "begin with order and seal"),
        (stream(ORDER, ORDER), "begin with order and seal"),
        (stream(ORDER, Items(1, (b"a",)), SEAL), "begin with order and seal"),
        (stream(ORDER, SEAL, SEAL), "items in sequence"),
        (stream(ORDER, SEAL, Thawed()), "items in sequence"),
        (stream(ORDER, SEAL, Items(2, (b"a",))), "items in sequence"),
        (stream(ORDER, SEAL, Items(1, (b"a",)), Items(1, (b"b",))), "items in sequence"),
        (stream(ORDER, SEAL, Items(1, (b"a",)), Items(3, (b"b",))), "items in sequence"),
        (stream(ORDER, SEAL) + b"\x84", "ends inside a message"),
        (stream(ORDER, SEAL)[:-1], "ends inside a message"),
        (stream(ORDER, SEAL) + b"\xff\0\0\0", "type 0xff is unknown"),
    ],
)
def test_any_other_stream_is_no_custody(data: bytes, message: str) -> None:
    with pytest.raises(MessageError, match=message):
        decode_custody(data)


def test_order_and_seal_are_there_before_any_item_is_read() -> None:
    order, seal, items = read_custody(stream(ORDER, SEAL, Items(1, (b"a", b"b"))) + b"\xff\0\0\0")
    assert (order, seal, next(items), next(items)) == (b"order", b"seal", b"a", b"b")
    with pytest.raises(MessageError, match="type 0xff is unknown"):
        next(items)


def test_items_are_counted_as_they_are_read_not_after_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custody, "ITEMS_MAX", 1)
    _, _, items = read_custody(stream(ORDER, SEAL, Items(1, (b"a",)), Items(2, (b"b",))) + b"\xff\0\0\0")
    assert next(items) == b"a"
    with pytest.raises(MessageError, match="more than 1 items"):
        next(items)


def test_more_items_than_a_terminal_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custody, "ITEMS_MAX", 3)
    three = stream(ORDER, SEAL, Items(1, (b"a", b"b")), Items(3, (b"c",)))
    assert len(decode_custody(three).items) == 3
    with pytest.raises(MessageError, match="more than 3 items"):
        decode_custody(three + stream(Items(4, (b"d",))))


# --- what was salvaged -----------------------------------------------------------------------------

ONE, TWO = Salvaged(1, 3, (b"a",)), Salvaged(2, 3, (b"b", b"c"))


def test_a_salvage_is_the_order_and_the_records_as_they_came() -> None:
    data = b"".join(encode_salvage(b"order", map(encode, (ONE, TWO))))
    assert data == stream(ORDER, ONE, TWO)
    assert decode_salvage(data) == (b"order", (b"a", b"b", b"c"))


def test_a_terminal_that_has_no_record_has_been_salvaged_too() -> None:
    assert decode_salvage(stream(ORDER, Salvaged(1, 0, ()))) == (b"order", ())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "begin with order and records"),
        (stream(ORDER), "begin with order and records"),
        (stream(ONE, TWO), "begin with order and records"),
        (stream(SEAL, ONE, TWO), "begin with order and records"),
        (stream(ORDER, ORDER, ONE, TWO), "records in sequence"),
        (stream(ORDER, Items(1, (b"a",))), "records in sequence"),
        (stream(ORDER, TWO), "records in sequence"),
        (stream(ORDER, ONE, ONE), "records in sequence"),
        (stream(ORDER, ONE, Salvaged(3, 3, (b"c",))), "records in sequence"),
        (stream(ORDER, ONE), "as many records as it says"),
        (stream(ORDER, ONE, Salvaged(2, 2, (b"b",))), "as many records as it says"),
        (stream(ORDER, ONE, TWO, Salvaged(4, 4, (b"d",))), "as many records as it says"),
        (stream(ORDER, ONE, TWO)[:-1], "ends inside a message"),
    ],
)
def test_any_other_stream_is_no_salvage(data: bytes, message: str) -> None:
    with pytest.raises(MessageError, match=message):
        decode_salvage(data)


def test_one_message_of_salvaged_records_is_read_alone() -> None:
    assert read_salvaged(encode(TWO)) == TWO
    for data in (b"", stream(ORDER), stream(ONE, TWO), encode(TWO)[:-1]):
        with pytest.raises(MessageError):
            read_salvaged(data)


# --- receipts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("receipts", "text"),
    [
        ((b"r1",), "88 000006 03 000002 7231"),
        ((b"r1", b"r2"), "88 000006 03 000002 7231 88 000006 04 000002 7232"),
    ],
)
def test_receipts_both_ways(receipts: tuple[bytes, ...], text: str) -> None:
    data = bytes.fromhex(text.replace(" ", ""))
    assert encode_receipts(receipts) == data
    assert decode_receipts(data) == receipts
    for end in range(len(data)):
        if end != 10:  # where the first of two ends, it stands alone
            with pytest.raises(MessageError):
                decode_receipts(data[:end])


@pytest.mark.parametrize("receipts", [(), (b"a", b"b", b"c")])
def test_no_receipt_and_three_are_not_sent(receipts: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="one or two"):
        encode_receipts(receipts)


@pytest.mark.parametrize(
    "messages",
    [
        (Proof(ProofKind.SECOND_RECEIPT, b"r"),),
        (Proof(ProofKind.SECOND_RECEIPT, b"r"), Proof(ProofKind.RECEIPT, b"r")),
        (Proof(ProofKind.RECEIPT, b"r"), Proof(ProofKind.RECEIPT, b"r")),
        (Proof(ProofKind.RECEIPT, b"r"), Proof(ProofKind.SECOND_RECEIPT, b"r"), Thawed()),
        (Proof(ProofKind.EVIDENCE, b"r"),),
        (Items(1, (b"r",)),),
    ],
)
def test_anything_else_is_no_answer_of_the_desk(messages: tuple[Proof | Items | Thawed, ...]) -> None:
    with pytest.raises(MessageError, match="something other than one or two receipts"):
        decode_receipts(stream(*messages))


def test_receipts_that_a_terminal_could_not_be_sent_are_refused_at_the_desk_already() -> None:
    fit = (bytes(RECEIPTS_BYTES_MAX - 60_000), bytes(60_000))
    assert decode_receipts(encode_receipts(fit)) == fit
    with pytest.raises(MessageError, match="bytes together"):
        decode_receipts(encode_receipts((*fit[:1], bytes(60_001))))
