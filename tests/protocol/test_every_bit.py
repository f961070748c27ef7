"""Every bit flipped and every truncation, of every form in which bytes come from elsewhere.

Three promises. What carries a check, a MAC or a signature is refused, or mended to exactly what was sent. Anything else
has one encoding: changed bytes are refused, or mean something else, but never what was sent. And what says its own
length is refused at each shorter one. The eight signed documents are in `test_documents.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from document_chain import write_chain
from fuzz.corpus import corpus
from posdecom_agent.dialects import decode_outcome, encode_outcome
from posdecom_agent.job import DIGEST_BYTES
from posdecom_agent.journal import SqliteJournal
from posdecom_agent.storage import JournalCorrupt
from posdecom_protocol import iso8583, messages, tlv
from posdecom_protocol.acknowledgement import Acknowledgement
from posdecom_protocol.data_elements import (
    BatchReference,
    BatchTotals,
    ChipDetail,
    EncryptedAccount,
    Original,
    OriginalMessage,
    UploadDetail,
)
from posdecom_protocol.documents import SHAPES, open_any
from posdecom_protocol.errors import FrameError, KeyMaterialError, LocalError, MessageError
from posdecom_protocol.frames import HEADER_BYTES, Frame, FrameDecoder, FrameKind, encode_frame
from posdecom_protocol.greeting import Hello, Service, Welcome
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.packed_items import pack, unpack
from posdecom_protocol.records import chain_head, decode_item, encode_item
from posdecom_protocol.salvage import decode_salvaged, encode_salvaged
from posdecom_protocol.tr31 import unwrap_key_block
from posdecom_simulator.world.faults import FaultPlan
from posdecom_world.disk import Connection, Disk
from posdecom_world.overheard import overhear
from posdecom_world.run import World
from posdecom_world.scene import NOW, scene

from .test_messages import EXAMPLES as MESSAGES
from .test_messages import example
from .test_salvage import DATA as SALVAGED
from .test_tr31 import VERSION_A, VERSION_B, VERSION_C, VERSION_D, secret

CONNECTION_ID = 0x5EED0001
ORDINARY_BITS = 300
"""Of each form in the ordinary run: as many bits, evenly spread, or all if there are not so many."""
slices = pytest.mark.parametrize("bits", [ORDINARY_BITS, pytest.param(10**9, marks=pytest.mark.long)])


def flipped(data: bytes, place: int) -> bytes:
    at, bit = divmod(place, 8)
    return data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :]


def spread(samples: Iterable[bytes], bits: int) -> Iterator[tuple[bytes, int]]:
    """Each sample with each of its bits; of ``bits`` in all."""
    every = [(sample, place) for sample in samples for place in range(8 * len(sample))]
    return iter(every[:: max(1, -(-len(every) // bits))])


# --- frames ---------------------------------------------------------------------------------------------------

NEXT = encode_frame(Frame(FrameKind.CLOSE, 1, 2, b"\1"), CONNECTION_ID)


def frames_in(data: bytes, *, mends: bool) -> list[Frame]:
    """All that are found, the line having fallen quiet."""
    decoder = FrameDecoder()
    decoder.connection_id, decoder.mends_data = CONNECTION_ID, mends
    decoder.receive(data)
    found = list(iter(decoder.next_frame, None))
    while decoder.is_waiting:
        decoder.give_up()
        found += iter(decoder.next_frame, None)
    return found


@pytest.mark.parametrize("mends", [False, True], ids=["as on a clear line", "as under a channel"])
@pytest.mark.parametrize("kind", FrameKind)
def test_a_frame_with_any_bit_flipped_is_lost_or_mended_to_what_was_sent(
    kind: FrameKind, mends: bool
) -> None:
    sent = Frame(kind, 513, 1027, bytes(range(64)))
    data = encode_frame(sent, CONNECTION_ID)
    (follower,) = frames_in(NEXT, mends=mends)
    for place in range(8 * len(data)):
        is_mended = mends and kind is FrameKind.DATA and place >= 8 * HEADER_BYTES
        wanted = [sent, follower] if is_mended else [follower]
        assert frames_in(flipped(data, place) + NEXT, mends=mends) == wanted, place


@pytest.mark.parametrize("kind", FrameKind)
def test_a_frame_cut_short_anywhere_is_none_and_the_next_is_found(kind: FrameKind) -> None:
    data = encode_frame(Frame(kind, 513, 1027, bytes(range(64))), CONNECTION_ID)
    for end in range(len(data)):
        assert frames_in(data[:end], mends=True) == []
        assert frames_in(data[:end] + NEXT, mends=True) == frames_in(NEXT, mends=True)


# --- forms with one encoding ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Form:
    """``read`` raises ``error`` or gives a value, and ``write`` is the inverse; ``samples`` are good ones."""

    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes]
    error: type[Exception]
    samples: Callable[[], Iterable[bytes]]
    says_its_length: bool = True
    is_open_behind: bool = False
    """What a later version puts behind the last field is ignored."""


def examples(text: str) -> list[bytes]:
    return [example(text)]


def one_message(data: bytes) -> messages.Message:
    """As from a channel that is over behind ``data``."""
    found = list(messages.Reader().receive(data))
    if len(found) != 1 or messages.encode(found[0]) != data:
        raise MessageError("not one message")
    return found[0]


def text_form(kind: Any, *samples: str) -> Form:
    return Form(
        lambda data: kind.decode(data.decode("latin-1")),
        lambda value: value.encode().encode("latin-1"),
        MessageError,
        lambda: [one.encode() for one in samples],
    )


SETTLEMENTS = [(1, 3), (3, 8)]
"""Seed and records: one with a reversal, one with advices."""


def said_to_hosts() -> list[bytes]:
    return [data for settlement in SETTLEMENTS for data in overhear(*settlement).host]


def outcomes() -> list[bytes]:
    return sorted({body[DIGEST_BYTES:] for body in corpus().bodies("outcome")} | {b"refused 05"})


HELLO = Hello(0x01020304, Service.CHANNEL)
WELCOME = Welcome(0x01020304, LifecycleState.FROZEN, False, "Demo Terminal Maker", "PD-1", "PD-000001")
ACKNOWLEDGEMENT = Acknowledgement(70_000, 32_768, 1_000, missing=0b1011)
ACCOUNT = EncryptedAccount(bytes(range(12)), b"\xee" * 32)
CHIP = bytes.fromhex("9F2608A1B2C3D4E5F607189F3602001A82021980950580000480005F2A020156")

FORMS = {
    "hello": Form(Hello.decode, Hello.encode, FrameError, lambda: [HELLO.encode()], is_open_behind=True),
    "welcome": Form(Welcome.decode, Welcome.encode, FrameError, lambda: [WELCOME.encode()], is_open_behind=True),
    "acknowledgement": Form(
        Acknowledgement.decode, Acknowledgement.encode, FrameError, lambda: [ACKNOWLEDGEMENT.encode()], False
    ),
    **{
        f"message {type(message).__name__} {number}": Form(
            one_message, messages.encode, MessageError, partial(examples, text)
        )
        for number, (message, text) in enumerate(MESSAGES)
    },
    "messages of a session": Form(one_message, messages.encode, MessageError, lambda: set(corpus().plain)),
    "iso 8583": Form(
        iso8583.decode, iso8583.IsoMessage.encode, MessageError, lambda: set(said_to_hosts())
    ),
    "items": Form(decode_item, encode_item, MessageError, lambda: corpus().bodies("item")),
    "salvaged record": Form(decode_salvaged, encode_salvaged, MessageError, lambda: [SALVAGED]),
    "field 48, totals": text_form(BatchTotals, "00000000125000200000000009900119999999999999990000000000000002"),
    "field 48, upload": text_form(UploadDetail, "010100004200004000000000000002000000001250"),
    "field 48, chip": text_form(ChipDetail, "01000123000000094315156"),
    "field 57": Form(EncryptedAccount.decode, EncryptedAccount.encode, MessageError, lambda: [ACCOUNT.encode()], False),
    "field 60": text_form(BatchReference, "30000012201"),
    "field 61": text_form(Original, "0000120000421121"),
    "field 62": text_form(OriginalMessage, "0320000042            "),
    "tlv": Form(tlv.decode, tlv.encode, MessageError, lambda: [CHIP], False),
    "outcome": Form(decode_outcome, encode_outcome, LocalError, outcomes, False),
}  # fmt: skip
EACH_FORM = pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))


def is_taken_as_sent(form: Form, data: bytes) -> bool:
    """Whether changed bytes mean what some other bytes say."""
    try:
        said = form.write(form.read(data))
    except form.error:
        return False
    return not (data.startswith(said) if form.is_open_behind else data == said)


@slices
@EACH_FORM
def test_bytes_with_any_bit_flipped_are_refused_or_mean_something_else(form: Form, bits: int) -> None:
    for sample in form.samples():
        assert form.write(form.read(sample)) == sample
    wrong = [
        place for data, place in spread(form.samples(), bits) if is_taken_as_sent(form, flipped(data, place))
    ]
    assert wrong == []


@EACH_FORM
def test_bytes_cut_short_anywhere_are_refused_or_say_so_themselves(form: Form) -> None:
    for sample in form.samples():
        for end in range(len(sample)):
            if form.says_its_length:
                with pytest.raises(form.error):
                    form.read(sample[:end])
            else:
                assert not is_taken_as_sent(form, sample[:end])


def test_every_message_of_the_line_and_every_request_to_the_host_is_among_them() -> None:
    assert {type(message) for message, _ in MESSAGES} == {layout.of for layout in messages.LAYOUTS}
    mtis = {iso8583.decode(data).mti for data in said_to_hosts()}
    assert {"0220", "0230", "0320", "0330", "0400", "0410", "0500", "0510", "0820", "0830"} <= mtis


# --- what carries a check ---------------------------------------------------------------------------------------


@slices
def test_items_with_any_bit_flipped_do_not_close_the_chain(bits: int) -> None:
    """The seal's chain is over the bytes themselves: it also holds what changed its meaning."""
    items = corpus().bodies("item")
    head = chain_head(items)
    for number, item in enumerate(items):
        for _, place in spread([item], bits // len(items)):
            assert chain_head([*items[:number], flipped(item, place), *items[number + 1 :]]) != head


def test_packed_items_with_any_bit_flipped_are_refused_or_are_no_items_of_the_seal() -> None:
    """DEFLATE has no check, and some bits of a stream mean nothing: what comes out is judged by the chain."""
    items = messages.Items(0, tuple(corpus().bodies("item")[:4]))
    packed = pack(items)
    different = 0
    for place in range(8 * len(packed.packed)):
        try:
            found = unpack(
                messages.PackedItems(0, packed.count, packed.plain_bytes, flipped(packed.packed, place))
            )
        except MessageError:
            continue
        different += found != items
        assert found == items or chain_head(found.items) != chain_head(items.items)
    assert different, "none would be refused by the chain alone"


def test_packed_items_cut_short_anywhere_are_refused() -> None:
    items = messages.Items(0, tuple(corpus().bodies("item")[:4]))
    packed = pack(items)
    for end in range(len(packed.packed)):
        with pytest.raises(MessageError):
            unpack(messages.PackedItems(0, packed.count, packed.plain_bytes, packed.packed[:end]))


@pytest.mark.parametrize("block", [VERSION_A, VERSION_B, VERSION_C, VERSION_D], ids="ABCD")
def test_a_key_block_with_any_bit_flipped_is_refused(block: tuple[str, str, str]) -> None:
    kbpk, text, _ = block
    for place in range(8 * len(text)):
        with pytest.raises(KeyMaterialError):
            unwrap_key_block(secret(kbpk), flipped(text.encode(), place).decode("latin-1"))


@slices
@pytest.mark.parametrize("settlement", SETTLEMENTS)
def test_no_message_with_any_bit_flipped_is_booked_or_moves_the_books(
    settlement: tuple[int, int], bits: int
) -> None:
    """Each request of a whole settlement, to a host that waits for it: the MAC is over all but the envelope."""
    world = World(settlement[0], scene(*settlement), FaultPlan(), "A")
    answered = overhear(*settlement).host
    for request, answer in zip(answered[::2], answered[1::2], strict=True):
        before, head = books(world), request[: iso8583.ENVELOPE_BYTES]
        for data, place in spread([request[len(head) :]], 2 * bits // len(answered)):
            refused = world.host.answer(head + flipped(data, place), NOW)
            assert refused is None or iso8583.decode(refused).text(39) not in ("00", "94", "95")
        assert books(world) == before
        assert world.host.answer(request, NOW) == answer, "and what was meant is still taken"


def books(world: World) -> list[Any]:
    contexts = world.scene.site.terminal.settings.contexts
    return [
        (world.ledger.postings(one.tid, one.batch), world.ledger.totals(one.tid, one.batch))
        for one in contexts
    ]


@slices
def test_a_journal_with_any_bit_of_a_row_flipped_is_refused_on_open(bits: int) -> None:
    disk = Disk()
    with closing(opened(disk)) as journal:
        journal.append(corpus().rows[:3])
    whole = bytes(disk.files["journal"].content)
    for row in corpus().rows[:3]:
        start = whole.index(row.body)
        for _, place in spread([row.body], bits // 30):
            with pytest.raises(JournalCorrupt):
                opened(Disk({"journal": flipped(whole, 8 * start + place)}))


def opened(disk: Disk) -> SqliteJournal:
    return SqliteJournal.over(Connection(disk, "journal", AssertionError), lambda: 1 << 40)


def test_every_kind_of_signed_document_is_damaged_in_the_tests_of_documents() -> None:
    """They are: here only that there are no others."""
    chain = write_chain()
    documents = (
        chain.order,
        chain.seal,
        *chain.receipts,
        chain.evidence,
        chain.certificate,
        chain.closure,
        chain.cancellation,
        chain.bind,
    )
    assert {type(open_any(data).body) for data in documents} == set(SHAPES)
