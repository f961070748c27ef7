"""Messages by worked examples, both ways, and everything that is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posdecom_protocol.errors import MessageError
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.limits import MESSAGE_BYTES_MAX
from posdecom_protocol.messages import (
    HEAD_BYTES,
    LAYOUTS,
    RECEIPTS_BYTES_MAX,
    Confirmed,
    ContextInfo,
    Erasing,
    GetInventory,
    GetProof,
    Inventory,
    Items,
    Message,
    OfferCancellation,
    OfferOrder,
    OfferRelease,
    PackedItems,
    Proof,
    ProofKind,
    Reader,
    ReadItems,
    ReadPacked,
    ReadSalvage,
    Refusal,
    Refused,
    Released,
    Salvaged,
    Sealed,
    SlotInfo,
    StartErase,
    Thawed,
    decode,
    encode,
)

DIGEST = bytes(range(32))
INVENTORY = Inventory(
    state=LifecycleState.FROZEN,
    tampered=True,
    serial="PD-1",
    manufacturer="Acme",
    model="T",
    software_version="1.0",
    boot_count=7,
    clock_s=1_800_000_000,
    slots=(SlotInfo("TMK", "K0", "AES-128", 2, bytes.fromhex("A1B2C3")),),
    contexts=(ContextInfo(1, "ACQ", "M2", "T3", 156, 24, 999, 5),),
)

# fmt: off
EXAMPLES: list[tuple[Message, str]] = [
    (GetInventory(), "01 000000"),
    (OfferOrder(1_800_000_000, b"order"), "02 000010 000000006B49D200 000005 6F72646572"),
    (ReadItems(65, 64), "03 000008 00000041 00000040"),
    (ReadPacked(65, 64), "08 000008 00000041 00000040"),
    (ReadSalvage(65), "09 000004 00000041"),
    (OfferRelease((b"r1",)), "04 000007 0001 000002 7231"),
    (OfferRelease((b"r1", b"r22")), "04 00000D 0002 000002 7231 000003 723232"),
    (StartErase(DIGEST), "05 000020 000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"),
    (OfferCancellation(b"c"), "06 000004 000001 63"),
    (GetProof(ProofKind.SECOND_RECEIPT), "07 000001 04"),
    (Confirmed(LifecycleState.ACTIVE, False), "81 000002 01 00"),
    (Confirmed(LifecycleState.EXCEPTED, True), "81 000002 04 01"),
    (INVENTORY, ("82 00004A 02 01 04 50442D31 04 41636D65 01 54 03 312E30 00000007 000000006B49D200"
                "0001 03 544D4B 02 4B30 07 4145532D313238 02 03 A1B2C3"
                "0001 01 03 414351 02 4D32 02 5433 009C 000018 03E7 0005")),
    (Sealed(b"seal"), "83 000007 000004 7365616C"),
    (Items(65, (b"a", b"bcd")), "84 00000E 00000041 0002 0001 61 0003 626364"),
    (PackedItems(65, 2, 8, b"deflated"), "8A 000014 00000041 0002 000008 000008 6465666C61746564"),
    (Salvaged(2, 3, (b"a", b"bcd")), "8B 000012 00000002 00000003 0002 0001 61 0003 626364"),
    (Salvaged(1, 0, ()), "8B 00000A 00000001 00000000 0000"),
    (Released(LifecycleState.SETTLED), "85 000001 03"),
    (Erasing(), "86 000000"),
    (Thawed(), "87 000000"),
    (Proof(ProofKind.EVIDENCE, b"ev"), "88 000006 05 000002 6576"),
    (Refused(Refusal.BUSY), "89 000001 10"),
]

MALFORMED: list[tuple[str, str]] = [
    ("01 000001 00", "a body where there is none"),
    ("02 000011 000000006B49D200 000005 6F72646572 00", "a byte behind the last field"),
    ("02 000010 000000006B49D200 000006 6F72646572", "a document longer than its message"),
    ("03 000004 00000041", "a field that is missing"),
    ("04 000007 0002 000002 7231", "fewer receipts than counted"),
    ("04 000007 0000 000002 7231", "more receipts than counted"),
    ("05 00001F 000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E", "a digest of 31 bytes"),
    ("07 000001 00", "a kind below the first"),
    ("07 000001 06", "a kind above the last"),
    ("81 000002 01 02", "a flag that is neither 0 nor 1"),
    ("81 000002 00 00", "a state below the first"),
    ("81 000002 09 00", "a state above the last"),
    ("84 000009 00000041 0001 0003 6162", "an item cut off"),
    ("85 000001 FF", "a state that does not exist"),
    ("88 000006 07 000002 6576", "a proof of no kind"),
    ("84 000006 00000001 0000", "items without any"),
    ("84 000008 00000001 0001 0000", "an item without a byte"),
    ("8B 00000A 00000001 00000001 0000", "no salvaged record where there is one"),
    ("8B 00000D 00000001 00000000 0001 0001 61", "a salvaged record where there is none"),
    ("89 000001 00", "a reason below the first"),
    ("89 000001 15", "a reason above the last"),
]
# fmt: on


def example(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


def test_every_type_has_an_example() -> None:
    assert {type(message) for message, _ in EXAMPLES} == {layout.of for layout in LAYOUTS}
    assert len({layout.number for layout in LAYOUTS}) == len(LAYOUTS)


@pytest.mark.parametrize(("message", "text"), EXAMPLES)
class TestEachExample:
    def test_is_what_the_message_encodes_to(self, message: Message, text: str) -> None:
        assert encode(message).hex() == example(text).hex()

    def test_is_read_whole(self, message: Message, text: str) -> None:
        reader = Reader()
        assert list(reader.receive(example(text))) == [message]
        assert reader.is_between_messages

    def test_is_read_byte_by_byte_and_not_a_byte_too_early(self, message: Message, text: str) -> None:
        reader, data = Reader(), example(text)
        for byte in data[:-1]:
            assert list(reader.receive(bytes((byte,)))) == []
            assert not reader.is_between_messages
        assert list(reader.receive(data[-1:])) == [message]

    def test_is_read_with_the_next_one_behind_it(self, message: Message, text: str) -> None:
        reader = Reader()
        assert list(reader.receive(example(text) + example("87 000000 86 00"))) == [message, Thawed()]
        assert list(reader.receive(example("0000"))) == [Erasing()]

    def test_is_refused_when_any_byte_of_its_body_is_missing(self, message: Message, text: str) -> None:
        data = example(text)
        for end in range(HEAD_BYTES, len(data)):
            with pytest.raises(MessageError):
                decode(data[0], data[HEAD_BYTES:end])

    def test_is_refused_with_a_byte_behind_its_body(self, message: Message, text: str) -> None:
        data = example(text)
        with pytest.raises(MessageError, match="is not in its one encoding"):
            decode(data[0], data[HEAD_BYTES:] + b"\0")


@pytest.mark.parametrize("text", [text for text, _ in MALFORMED], ids=[why for _, why in MALFORMED])
def test_a_malformed_body_is_refused_by_the_name_of_its_message(text: str) -> None:
    number = example(text)[0]
    name = next(layout.of.__name__ for layout in LAYOUTS if layout.number == number)
    with pytest.raises(MessageError, match=rf"^{name} is (malformed|not in its one encoding)$"):
        list(Reader().receive(example(text)))


@pytest.mark.parametrize("name", ["PD\x1b[2J", "\n", "\x7f"])
def test_a_name_that_could_write_on_a_screen_is_neither_sent_nor_taken(name: str) -> None:
    with pytest.raises(ValueError, match="Inventory has a member that does not fit"):
        encode(Inventory(LifecycleState.ACTIVE, False, name, "", "", "", 1, 1, (), ()))
    body = b"\1\0" + bytes((len(name),)) + name.encode() + bytes(3 + 4 + 8 + 4)
    with pytest.raises(MessageError, match="Inventory is malformed"):
        decode(0x82, body)


def test_a_name_that_is_not_ascii_is_malformed() -> None:
    with pytest.raises(MessageError, match="Inventory is malformed"):
        decode(0x82, b"\1\0" + b"\1\xe9" + bytes(3 + 4 + 8 + 4))


# --- the head alone ------------------------------------------------------------------------------


def test_a_length_over_the_cap_is_refused_from_the_head() -> None:
    head = b"\x83" + (MESSAGE_BYTES_MAX + 1).to_bytes(3, "big")
    reader = Reader()
    assert list(reader.receive(head[:3])) == []
    with pytest.raises(MessageError, match=r"^message announces 131073 bytes; at most 131072$"):
        list(reader.receive(head[3:]))


def test_the_longest_message_passes_and_one_byte_more_is_not_made() -> None:
    longest = Sealed(bytes(MESSAGE_BYTES_MAX - 3))
    assert list(Reader().receive(encode(longest))) == [longest]
    with pytest.raises(ValueError, match=r"^message of 131073 bytes; at most 131072$"):
        encode(Sealed(bytes(MESSAGE_BYTES_MAX - 2)))


def test_two_receipts_of_the_largest_sum_share_a_message() -> None:
    release = OfferRelease((bytes(1000), bytes(RECEIPTS_BYTES_MAX - 1000)))
    assert len(encode(release)) == HEAD_BYTES + MESSAGE_BYTES_MAX


def test_every_unknown_type_is_refused_from_the_head() -> None:
    known = {layout.number for layout in LAYOUTS}
    for number in set(range(256)) - known:
        with pytest.raises(MessageError, match=rf"^message type 0x{number:02x} is unknown$"):
            list(Reader().receive(bytes((number, 0x01, 0xFF, 0xFF))))


def test_what_stands_before_a_bad_message_is_delivered() -> None:
    taken: list[Message] = []

    with pytest.raises(MessageError):
        for message in Reader().receive(example("87 000000 FF 000000")):
            taken.append(message)
    assert taken == [Thawed()]


@pytest.mark.parametrize(
    "message", [ReadItems(-1, 1), ReadItems(1, 2**32), StartErase(bytes(31)), Items(1, (bytes(65_536),))]
)
def test_a_member_that_does_not_fit_its_layout_is_our_own_error(message: Message) -> None:
    with pytest.raises(ValueError, match="has a member that does not fit its layout"):
        encode(message)


# --- any message, any cut ------------------------------------------------------------------------

WHOLE = st.integers(0, 2**32 - 1)
BLOBS = st.binary(max_size=300)
NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=255)
STATES = st.sampled_from(LifecycleState)
SLOTS = st.builds(SlotInfo, NAMES, NAMES, NAMES, st.integers(0, 255), st.binary(max_size=255))
CONTEXTS = st.builds(
    ContextInfo, st.integers(0, 255), NAMES, NAMES, NAMES, *[st.integers(0, 65_535)] * 4
)  # fmt: skip
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.just(GetInventory()),
    st.builds(OfferOrder, WHOLE, BLOBS),
    st.builds(ReadItems, WHOLE, WHOLE),
    st.builds(ReadPacked, WHOLE, WHOLE),
    st.builds(ReadSalvage, WHOLE),
    st.builds(
        Salvaged, WHOLE, st.integers(1, 2**32 - 1), st.lists(BLOBS.filter(bool), min_size=1, max_size=5).map(tuple)
    ),
    st.builds(PackedItems, WHOLE, st.integers(0, 65_535), st.integers(0, 2**24 - 1), BLOBS),
    st.builds(OfferRelease, st.lists(BLOBS, max_size=3).map(tuple)),
    st.builds(GetProof, st.sampled_from(ProofKind)),
    st.builds(Confirmed, STATES, st.booleans()),
    st.builds(
        Inventory, STATES, st.booleans(), NAMES, NAMES, NAMES, NAMES, WHOLE, WHOLE,
        st.lists(SLOTS, max_size=3).map(tuple), st.lists(CONTEXTS, max_size=3).map(tuple),
    ),
    st.builds(Items, WHOLE, st.lists(BLOBS.filter(bool), min_size=1, max_size=5).map(tuple)),
    st.builds(Proof, st.sampled_from(ProofKind), BLOBS),
    st.builds(Refused, st.sampled_from(Refusal)),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.lists(MESSAGES, max_size=4), st.integers(1, 64))
def test_a_stream_of_messages_comes_out_as_it_went_in_however_it_is_cut(
    messages: list[Message], piece_bytes: int
) -> None:
    reader, stream = Reader(), b"".join(map(encode, messages))
    pieces = [stream[start : start + piece_bytes] for start in range(0, len(stream), piece_bytes)]
    assert [message for piece in pieces for message in reader.receive(piece)] == messages


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([layout.number for layout in LAYOUTS]), st.binary(max_size=80))
def test_any_bytes_are_the_one_encoding_of_a_message_or_a_message_error(number: int, body: bytes) -> None:
    try:
        message = decode(number, body)
    except MessageError:
        return
    assert encode(message) == bytes((number,)) + len(body).to_bytes(3, "big") + body
