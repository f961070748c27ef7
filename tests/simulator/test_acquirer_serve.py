"""The acquirer's socket side: each thing that a delivery can ask for happens on a real connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from posdecom_protocol.iso8583 import frame_message
from posdecom_simulator.acquirer.delivery import Delivery, Said
from posdecom_simulator.acquirer.serve import _HostServer

MESSAGE = frame_message(bytes(30))


@dataclass
class Clerk:
    """Hears messages, and answers each with the next of these."""

    deliveries: list[Delivery]
    heard: list[bytes] = field(default_factory=list)

    def host_hears(self, message: bytes) -> Delivery:
        self.heard.append(message)
        return self.deliveries.pop(0)


@contextmanager
def serving(*deliveries: Delivery) -> Iterator[tuple[Clerk, Any]]:
    clerk: Any = Clerk(list(deliveries))
    with _HostServer(("127.0.0.1", 0), clerk) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield clerk, lambda: socket.create_connection(("127.0.0.1", server.server_address[1]), 10.0)
        finally:
            server.shutdown()
            thread.join()


def said(*wires: bytes) -> Delivery:
    return Delivery(tuple(Said(wire) for wire in wires))


def test_what_is_said_arrives_and_the_connection_stays() -> None:
    with serving(said(b"one"), said(b"two", b"three")) as (clerk, connect), connect() as connection:
        connection.sendall(MESSAGE)
        assert connection.recv(100) == b"one"
        connection.sendall(MESSAGE)
        assert _read(connection, 8) == b"twothree"
    assert len(clerk.heard) == 2


def test_a_late_answer_comes_behind_one_that_was_asked_for_later() -> None:
    with serving(Delivery((Said(b"late", 0.2),)), said(b"soon")) as (_, connect), connect() as connection:
        connection.sendall(MESSAGE * 2)
        assert _read(connection, 8) == b"soonlate"


def test_a_host_that_hangs_up_says_its_last_bytes_first() -> None:
    cut = Delivery((Said(b"half"),), hangs_up=True)
    with serving(cut) as (_, connect), connect() as connection:
        connection.sendall(MESSAGE)
        assert _read(connection, 100) == b"half"


def test_silence_is_a_connection_that_stays_and_hears_nothing() -> None:
    with serving(Delivery(goes_silent=True), said(b"well")) as (clerk, connect):
        with connect() as connection:
            connection.sendall(MESSAGE)
            connection.settimeout(0.05)
            while not clerk.heard:
                pass
            connection.sendall(MESSAGE)
            with suppress(TimeoutError):
                assert connection.recv(100) == b"never"
        assert len(clerk.heard) == 1
        with connect() as other:
            other.sendall(MESSAGE)
            assert other.recv(100) == b"well"


def test_a_restart_breaks_every_connection() -> None:
    restart = Delivery(restarts=True, hangs_up=True)
    with serving(said(b"one"), restart) as (_, connect), connect() as bystander, connect() as connection:
        bystander.sendall(MESSAGE)
        assert bystander.recv(100) == b"one"
        connection.sendall(MESSAGE)
        assert connection.recv(100) == b""
        assert bystander.recv(100) == b""


def _read(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length and (piece := connection.recv(100)):
        data += piece
    return data
