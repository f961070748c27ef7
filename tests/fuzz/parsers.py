"""Every parser of bytes that come from elsewhere: what it is fed, and the only errors that it may answer with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from posdecom_agent.case.file import CaseError, read_case
from posdecom_agent.case.template import write_template
from posdecom_agent.dialects import decode_outcome
from posdecom_agent.job import DIGEST_BYTES, Job
from posdecom_agent.journal import MemoryJournal, Row, SqliteJournal
from posdecom_agent.storage import StorageError
from posdecom_protocol import cbor, messages, tlv
from posdecom_protocol.acknowledgement import Acknowledgement
from posdecom_protocol.certificates import load_anchors
from posdecom_protocol.custody import decode_receipts, read_custody
from posdecom_protocol.documents import open_any
from posdecom_protocol.errors import (
    DocumentError,
    FrameError,
    KeyMaterialError,
    LocalError,
    MessageError,
    PosdecomError,
)
from posdecom_protocol.frames import FrameDecoder
from posdecom_protocol.greeting import Hello, Service, Welcome
from posdecom_protocol.iso8583 import LengthPrefix, decode, frame_message
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.records import decode_item
from posdecom_protocol.tr31_header import decode_header
from posdecom_world.disk import Connection, Disk

from .corpus import corpus, custody

DATABASE_BYTES: Final = 4096
"""Of a journal's file: the page that mutations are about."""


@dataclass(frozen=True, slots=True)
class Parser:
    parse: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    seeds: Callable[[], Iterable[bytes]]

    def __call__(self, data: bytes) -> bool:
        """Whether ``data`` was taken. Anything but the parser's own errors comes through."""
        try:
            self.parse(data)
        except self.errors:
            return False
        return True


def _frames(data: bytes) -> list[Any]:
    decoder = FrameDecoder()
    decoder.receive(data)
    found = list(iter(decoder.next_frame, None))
    while decoder.is_waiting:
        decoder.give_up()
        found += iter(decoder.next_frame, None)
    return found


def _messages(data: bytes) -> list[Any]:
    return list(messages.Reader().receive(data))


def _custody(data: bytes) -> list[bytes]:
    *_, items = read_custody(data)
    return list(items)


def _key_block(data: bytes) -> object:
    return decode_header(data.decode("latin-1"))


def _journal(data: bytes) -> int:
    """The file of a journal, whole."""
    connection = Connection(Disk({"journal": data}), "journal", AssertionError)
    with closing(SqliteJournal.over(connection, lambda: 1 << 40)) as journal:
        return Job(journal).answers


def _journal_file() -> Iterable[bytes]:
    disk = Disk()
    with closing(SqliteJournal.over(Connection(disk, "journal", AssertionError), lambda: 1 << 40)) as journal:
        journal.append(corpus().rows)
    yield bytes(disk.files["journal"].content)


def _rows(data: bytes) -> object:
    """Rows that somebody wrote into a journal with a good chain: kind, key and body from JSON lines."""
    rows = [Row(kind, key, bytes.fromhex(body)) for kind, key, body in map(json.loads, data.splitlines())]
    job = Job(MemoryJournal(rows))
    return job.order, job.seal, job.receipts, job.settled


def _rows_as_text() -> Iterable[bytes]:
    yield b"\n".join(json.dumps([row.kind, row.key, row.body.hex()]).encode() for row in corpus().rows)


def _payloads() -> Iterable[bytes]:
    return (open_any(data).sign1.payload for data in corpus().bodies(*_DOCUMENTS))


_DOCUMENTS = ("order", "seal", "receipt", "evidence", "certificate", "closure")
_HELLO = Hello(0x01020304, Service.CHANNEL)
_WELCOME = Welcome(0x01020304, LifecycleState.FROZEN, False, "Demo Terminal Maker", "PD-1", "PD-000001")
_ACKNOWLEDGEMENT = Acknowledgement(70_000, 32_768, 1_000, missing=0b1011)
_TLV = bytes.fromhex("9F2608A1B2C3D4E5F607189F3602001A820219809505800004 80005F2A020156".replace(" ", ""))
_KEY_BLOCK = (
    b"D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D2"
    b"07E2E417C07156A27E8E31DA05F7425509593D03A457DC34"
)  # fmt: skip
"""ANSI X9.143's example of an AES key block."""

PARSERS: Final[dict[str, Parser]] = {
    "frames": Parser(_frames, (), lambda: corpus().line),
    "hello": Parser(Hello.decode, (FrameError,), lambda: [_HELLO.encode()]),
    "welcome": Parser(Welcome.decode, (FrameError,), lambda: [_WELCOME.encode()]),
    "acknowledgement": Parser(Acknowledgement.decode, (FrameError,), lambda: [_ACKNOWLEDGEMENT.encode()]),
    "messages": Parser(_messages, (MessageError,), lambda: corpus().plain),
    "items": Parser(decode_item, (MessageError,), lambda: corpus().bodies("item")),
    "custody": Parser(_custody, (MessageError,), custody),
    "receipts": Parser(decode_receipts, (MessageError, DocumentError), custody),
    "cbor": Parser(lambda data: cbor.decode(data, "fuzz"), (DocumentError,), _payloads),
    "documents": Parser(open_any, (DocumentError,), lambda: corpus().bodies(*_DOCUMENTS)),
    "anchors": Parser(load_anchors, (DocumentError,), lambda: corpus().anchors),
    "iso 8583": Parser(decode, (MessageError,), lambda: corpus().host),
    "length prefix": Parser(
        lambda data: LengthPrefix().receive(data), (MessageError,), lambda: map(frame_message, corpus().host)
    ),
    "tlv": Parser(tlv.decode, (MessageError,), lambda: [_TLV]),
    "key block": Parser(_key_block, (KeyMaterialError,), lambda: [_KEY_BLOCK]),
    "outcome": Parser(
        decode_outcome, (LocalError,), lambda: [body[DIGEST_BYTES:] for body in corpus().bodies("outcome")]
    ),
    "journal file": Parser(_journal, (StorageError, PosdecomError), _journal_file),
    "journal rows": Parser(_rows, (PosdecomError, ValueError, TypeError), _rows_as_text),
    "case file": Parser(read_case, (CaseError,), lambda: [write_template({}).encode()]),
}
"""By name. A journal whose rows were changed under a good chain is somebody's forgery: any named error will do."""
