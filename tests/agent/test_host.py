"""The conversation over real connections: cut anywhere it goes on, and it gives up only where nothing comes of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest

from posdecom_agent.host import CONNECTS_MAX, Connection, HostAddress, settle
from posdecom_agent.job import Job
from posdecom_agent.line import WallClock
from posdecom_agent.procedure import SettleEnd, Unreachable
from posdecom_agent.settlement import Finished, Reason, Stopped
from posdecom_protocol.errors import HostError
from posdecom_protocol.iso8583 import LengthPrefix, frame_message
from release_case import LATER, Case, Noon, Wire, begin_job, open_case

# --- addresses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8583", "127.0.0.1", 8583),
        ("host.example:1", "host.example", 1),
        ("[::1]:65535", "::1", 65535),
    ],
)
def test_an_address_is_host_and_port(text: str, host: str, port: int) -> None:
    assert HostAddress.parse(text) == HostAddress(host, port)


@pytest.mark.parametrize(
    "text",
    ["", "host", ":1", "host:", "host:0", "host:65536", "host:-1", "host:x", "::1:80", "[::1]", "[]:80", "[host:80",
     "a b:80", "host:٣", "http://host:80"],
)  # fmt: skip
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="an address is HOST:PORT or"):
        HostAddress.parse(text)


# --- a real server -----------------------------------------------------------------------------------------

Serve = Callable[[socket.socket, int], None]
"""One connection, and its number from 0."""


@contextmanager
def serving(serve: Serve) -> Iterator[HostAddress]:
    """A listener on the loopback, one connection after the other."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def loop() -> None:
        number = 0
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                serve(connection, number)
            number += 1

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield HostAddress("127.0.0.1", listener.getsockname()[1])
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@dataclass
class Acquirer:
    """Answers from the case's books; ``answers_max`` in one connection, then it hangs up."""

    case: Case
    answers_max: int = 10_000
    bytes_of_the_last: int | None = None
    """Of the answer before it hangs up only so many bytes go out."""
    heard: list[bytes] = field(default_factory=list)

    def __call__(self, connection: socket.socket, number: int) -> None:
        stream, answered = LengthPrefix(), 0
        while data := connection.recv(65536):
            for message in stream.receive(data):
                self.heard.append(message)
                answer = self.case.host.answer(message, LATER)
                assert answer is not None
                answered += 1
                last = answered == self.answers_max
                connection.sendall(frame_message(answer)[: self.bytes_of_the_last if last else None])
                if last:
                    return


@dataclass
class Pauses:
    count: int = 0

    def __call__(self, seconds: float) -> None:
        self.count += 1


def job_in_custody(case: Case) -> Job:
    job = begin_job(case)
    job.keep_seal(case.seal)
    job.keep_items(1, case.items)
    return job


def settle_over(address: HostAddress, case: Case, job: Job, pauses: Pauses) -> SettleEnd:
    return settle(job, case.context(0), address, WallClock(), pauses)


def test_a_context_is_settled_over_one_connection() -> None:
    case = open_case(count=30)
    job, acquirer, pauses = job_in_custody(case), Acquirer(case), Pauses()
    with serving(acquirer) as address:
        assert settle_over(address, case, job, pauses) == Finished()
    assert pauses.count == 0
    assert len(acquirer.heard) == len(job.outcomes()) > 0


@pytest.mark.parametrize("kept_bytes", [0, 1, 2, 20])
def test_a_host_that_hangs_up_after_each_answer_is_reached_again_as_long_as_it_answers(
    kept_bytes: int,
) -> None:
    """The second answer of every connection is cut in its length, its header or its middle."""
    case = open_case(count=30)
    job, pauses = job_in_custody(case), Pauses()
    acquirer = Acquirer(case, answers_max=2, bytes_of_the_last=kept_bytes)
    with serving(acquirer) as address:
        assert settle_over(address, case, job, pauses) == Finished()
    assert pauses.count > CONNECTS_MAX, "or progress was not needed to go on"
    plain = open_case(count=30)
    fresh = job_in_custody(plain)
    with serving(Acquirer(plain)) as address:
        settle_over(address, plain, fresh, Pauses())
    assert job.outcomes() == fresh.outcomes()


def test_a_host_that_only_hangs_up_is_given_up() -> None:
    case = open_case()
    job, pauses = job_in_custody(case), Pauses()
    with serving(lambda connection, number: None) as address:
        end = settle_over(address, case, job, pauses)
    assert end in (
        Unreachable(f"{address}: the connection breaks"),
        Unreachable(f"{address}: Connection reset by peer"),
        Unreachable(f"{address}: Broken pipe"),
    ) or (isinstance(end, Stopped) and end.reason is Reason.NO_ANSWER)
    assert job.outcomes() == {}


def test_nobody_there_is_unreachable_with_the_reason() -> None:
    case = open_case()
    pauses = Pauses()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = HostAddress("127.0.0.1", listener.getsockname()[1])
    end = settle_over(address, case, job_in_custody(case), pauses)
    assert end == Unreachable(f"{address}: Connection refused")
    assert pauses.count == CONNECTS_MAX


def test_a_host_that_says_nothing_yet_is_no_end_of_the_stream() -> None:
    def listen(connection: socket.socket, number: int) -> None:
        connection.recv(1)

    with serving(listen) as address, closing(address.connect()) as silent:
        assert silent.receive(timeout_s=0.0) is None


def test_a_name_that_is_none_is_unreachable_too() -> None:
    case = open_case()
    end = settle_over(HostAddress("no-such-host.invalid", 1), case, job_in_custody(case), Pauses())
    assert isinstance(end, Unreachable)
    assert end.reason.startswith("no-such-host.invalid:1: ")


def test_what_is_no_iso_8583_is_told() -> None:
    case = open_case()
    job = job_in_custody(case)

    def web_server(connection: socket.socket, number: int) -> None:
        connection.recv(65536)
        connection.sendall(b"\x00\x00HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(web_server) as address:
        end = settle_over(address, case, job, Pauses())
    assert isinstance(end, Stopped | Unreachable)
    assert job.outcomes() == {}


# --- over a connection in memory ---------------------------------------------------------------------------


@dataclass
class Flaky:
    """A host in memory whose connections are refused as long as ``refused`` says so."""

    case: Case
    refused: Iterator[bool]
    sent: list[bytes] = field(default_factory=list)
    connects: int = 0

    def __str__(self) -> str:
        return "the host"

    def connect(self) -> Connection:
        self.connects += 1
        if next(self.refused, False):
            raise ConnectionRefusedError(111, "Connection refused")
        return OneAnswer(self.case, self.sent)


@dataclass
class OneAnswer(Wire):
    """Breaks after its first answer."""

    taken: int = 0

    def receive(self, timeout_s: float) -> bytes | None:
        if self.taken:
            raise ConnectionResetError(104, "Connection reset by peer")
        self.taken += 1
        return super().receive(timeout_s)


def test_progress_takes_failures_back() -> None:
    """Four refusals before each answer are one too few to give up, however many there are in all."""
    case = open_case()
    job = job_in_custody(case)
    host = Flaky(case, iter(([True] * (CONNECTS_MAX - 2) + [False]) * 1000))
    assert settle(job, case.context(0), host, Noon(), Pauses()) == Finished()
    assert host.connects > 2 * CONNECTS_MAX


def test_five_refusals_in_a_row_end_it() -> None:
    case = open_case()
    host = Flaky(case, iter([False] + [True] * 1000))
    end = settle(job_in_custody(case), case.context(0), host, Noon(), Pauses())
    assert end == Unreachable("the host: Connection refused")
    assert host.connects <= 1 + CONNECTS_MAX


def test_each_answer_is_in_the_journal_before_the_next_message_goes_out() -> None:
    case = open_case()
    job = job_in_custody(case)
    journalled: list[int] = []
    received: list[int] = [0]
    came: list[int] = []

    class Watched(Wire):
        def send(self, data: bytes) -> None:
            journalled.append(job.answers)
            came.append(received[0])
            super().send(data)

        def receive(self, timeout_s: float) -> bytes | None:
            data = super().receive(timeout_s)
            received[0] += bool(data)
            return data

    class Host(Flaky):
        def connect(self) -> Connection:
            return Watched(case, [])

    settle(job, case.context(0), Host(case, iter(())), Noon(), Pauses())
    assert journalled == came
    assert len(journalled) > 5


def test_an_interrupt_keeps_what_was_answered_and_the_next_run_goes_on() -> None:
    case = open_case()
    job = job_in_custody(case)
    host = Flaky(case, iter(()))

    def interrupt() -> None:
        if job.answers == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        settle(job, case.context(0), host, Noon(), Pauses(), interrupt)
    assert job.answers == 3
    assert settle(job, case.context(0), host, Noon(), Pauses()) == Finished()
    assert len(set(host.sent)) == len(job.outcomes())


def test_a_dialect_of_a_later_version_is_said_to_be_that() -> None:
    case = open_case()
    context = replace(case.context(0), dialect="tlv9")
    with pytest.raises(HostError, match="does not speak the dialect tlv9"):
        settle(job_in_custody(case), context, Flaky(case, iter(())), Noon(), Pauses())
