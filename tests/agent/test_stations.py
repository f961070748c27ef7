"""The real stations: a port that goes away and comes back, and a desk that is believed only as far as it signs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from document_chain import ACQUIRER, ANCHORS, DAY, HANDS, NOW, YEARS, Identity
from posdecom_agent import catalogue
from posdecom_agent import stations as stations_module
from posdecom_agent.desk import Desk
from posdecom_agent.host import HostAddress
from posdecom_agent.job import Job
from posdecom_agent.port_access import LinkLost, PortBusy, PortError, PortForbidden, PortMissing
from posdecom_agent.procedure import (
    ClosedBy,
    DeskReply,
    Pending,
    Receipts,
    Step,
    Unreachable,
    carry_out,
    next_step,
)
from posdecom_agent.serial_line import SerialLine
from posdecom_agent.stations import REOPEN_PAUSE_S, AcquirerStations, JudgedDesk, RealStations
from posdecom_agent.trouble import Trouble
from posdecom_agent.visit import CutOff, Goal, Unplugged
from posdecom_protocol.certificates import Role
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.certificate import State
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.documents.receipt import Receipt
from posdecom_protocol.verdict import judge
from posdecom_simulator.authority import Authority, Validity
from release_case import LATER, Case, CaseStations, begin_job, open_case

NOWHERE = HostAddress("127.0.0.1", 1)


@dataclass
class Clock:
    time: float = 1_800_000_000.0

    def now(self) -> float:
        return self.time


@dataclass
class FakePort:
    """One that was just opened; the plug is pulled at the first read."""

    closed: bool = False

    def read(self, timeout_s: float) -> bytes:
        raise LinkLost("/dev/ttyUSB0", "the device is gone")

    def write(self, data: bytes) -> int:
        return len(data)

    def set_speed(self, baud: int) -> None:
        pass

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        self.closed = True


@dataclass
class Socket:
    """What `open_port` meets, time by time; after the script the last one for ever."""

    script: list[PortError | None]
    opened: list[FakePort] = field(default_factory=list)
    tried: int = 0

    def open(self, url: str, baud: int = 115_200) -> FakePort:
        found = self.script[min(self.tried, len(self.script) - 1)]
        self.tried += 1
        if found is not None:
            raise found
        self.opened.append(FakePort())
        return self.opened[-1]


def real_stations(
    monkeypatch: pytest.MonkeyPatch, socket: Socket, clock: Clock, reopen_s: float = 2.0
) -> RealStations:
    monkeypatch.setattr(stations_module, "open_port", socket.open)
    monkeypatch.setattr(
        stations_module,
        "access_of",
        lambda site: SimpleNamespace(entropy=lambda count: bytes(count), anchors=ANCHORS),
    )

    def sleep(seconds: float) -> None:
        clock.time += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    site: Any = SimpleNamespace(anchors=ANCHORS)
    line = SerialLine("/dev/ttyUSB0", reopen_s)
    return RealStations(
        NOWHERE,
        None,
        clock=clock,
        site=site,
        line=line,
    )


MISSING = PortMissing("/dev/ttyUSB0", "there is no such device")
FORBIDDEN = PortForbidden("/dev/ttyUSB0", "node is root:root 0600")
BUSY = PortBusy("/dev/ttyUSB0", "ModemManager has it open")


@pytest.mark.parametrize("error", [MISSING, FORBIDDEN, BUSY])
def test_a_port_that_never_was_there_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, error: PortError
) -> None:
    clock, socket = Clock(), Socket([error])
    stations = real_stations(monkeypatch, socket, clock)
    with pytest.raises(type(error)):
        stations.visit(begin_job(open_case()), Goal.FLUSH)
    assert (socket.tried, clock.time) == (1, Clock().time)


def test_a_pulled_plug_cuts_the_visit_and_closes_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    socket = Socket([None])
    end = real_stations(monkeypatch, socket, Clock()).visit(begin_job(open_case()), Goal.FLUSH)
    assert end == CutOff(Unplugged("the device is gone"))
    assert [port.closed for port in socket.opened] == [True]


def test_a_port_that_comes_back_in_time_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """First there is no node, then one without its group, then one that a device manager probes."""
    clock, socket = Clock(), Socket([None, MISSING, MISSING, FORBIDDEN, BUSY, None])
    stations = real_stations(monkeypatch, socket, clock)
    job = begin_job(open_case())
    stations.visit(job, Goal.FLUSH)
    stations.visit(job, Goal.FLUSH)
    assert len(socket.opened) == 2
    assert clock.time - Clock().time == pytest.approx(4 * REOPEN_PAUSE_S)


@pytest.mark.parametrize("error", [MISSING, FORBIDDEN, BUSY])
def test_a_port_that_does_not_come_back_is_given_up(
    monkeypatch: pytest.MonkeyPatch, error: PortError
) -> None:
    clock, socket = Clock(), Socket([None, error])
    stations = real_stations(monkeypatch, socket, clock, reopen_s=2.0)
    job = begin_job(open_case())
    stations.visit(job, Goal.FLUSH)
    with pytest.raises(type(error)):
        stations.visit(job, Goal.FLUSH)
    assert 2.0 <= clock.time - Clock().time < 2.0 + 2 * REOPEN_PAUSE_S


def test_an_interrupt_closes_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    socket = Socket([None])
    stations = real_stations(monkeypatch, socket, Clock())

    def interrupt(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(FakePort, "read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        stations.visit(begin_job(open_case()), Goal.FLUSH)
    assert [port.closed for port in socket.opened] == [True]


# --- the desk ----------------------------------------------------------------------------------------


@dataclass
class Replies(Desk):
    """A desk that answers one thing."""

    reply: DeskReply

    def find_receipt(self, job: Job) -> Receipts | None:
        return self.reply if isinstance(self.reply, Receipts) else None

    def ask_receipt(self, job: Job) -> DeskReply:
        return self.reply

    def ask_closure(self, job: Job) -> DeskReply:
        return self.reply


def with_desk(monkeypatch: pytest.MonkeyPatch, reply: DeskReply) -> RealStations:
    stations = real_stations(monkeypatch, Socket([None]), Clock())
    stations.desk = JudgedDesk(Replies(reply), ANCHORS)
    return stations


def settled() -> tuple[Case, Job]:
    case = open_case()
    case.settle()
    job = begin_job(case)
    job.keep_seal(case.seal)
    return case, job


def forged(case: Case) -> bytes:
    authority = Authority.create("nobody's", (Role.RELEASE,), YEARS, lambda count: bytes(count))
    nobody = Identity("nobody").hand(authority, Role.RELEASE)
    return issue(open_document(case.receipts()[0], Receipt).body, nobody)


def test_a_receipt_that_holds_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    case, job = settled()
    reply = Receipts(case.receipts())
    stations = with_desk(monkeypatch, reply)
    assert stations.ask_receipt(job) == reply
    assert stations.find_receipt(job) == reply


def test_a_receipt_that_anybody_could_have_written_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain HTTP authenticates nobody, and what the journal holds it holds for ever."""
    case, job = settled()
    stations = with_desk(monkeypatch, Receipts((forged(case),)))
    for ask in (stations.ask_receipt, stations.find_receipt):
        with pytest.raises(Trouble) as caught:
            ask(job)
        assert caught.value.entry is catalogue.DOCUMENT
        assert caught.value.cause.startswith("the release desk sent it: receipt: the signer does not belong")


def test_a_receipt_of_a_signer_whose_certificate_was_over_is_not_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The terminal judges no date: it would erase, and no reader would take the certificate afterwards."""
    case, job = settled()
    over = Identity("over").hand(ACQUIRER, Role.RELEASE, validity=Validity(NOW - 9 * DAY, NOW))
    receipt = issue(open_document(case.receipts()[0], Receipt).body, over)
    with pytest.raises(Trouble) as caught:
        with_desk(monkeypatch, Receipts((receipt,))).ask_receipt(job)
    assert caught.value.entry is catalogue.DOCUMENT
    assert "has expired" in caught.value.cause


def test_a_closure_of_another_certificate_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    case = open_case()
    job = begin_job(case)
    carry_out(job, CaseStations(case), lambda step, words: None)
    assert job.closure is not None
    right = ClosedBy(job.closure)
    body = open_document(job.closure, Closure).body
    wrong = ClosedBy(issue(replace(body, certificate_digest=bytes(32)), HANDS.closure))
    assert with_desk(monkeypatch, right).ask_closure(job) == right
    with pytest.raises(Trouble) as caught:
        with_desk(monkeypatch, wrong).ask_closure(job)
    assert caught.value.cause == "the release desk sent it: closure: closes another certificate"


@dataclass
class PoisonedStations(CaseStations):
    """The way to the desk belongs to somebody else, who sends what he has of another case."""

    other: Case | None = None

    def _exchange(self, method: str, url: str, body: bytes | None, media_type: str) -> tuple[int, bytes]:
        if self.other is None:
            return super()._exchange(method, url, body, media_type)
        if "certificates" in url:
            return 200, self.other.desk.post_certificate(self.other.certificate(), LATER).body
        return 200, self.other.post().body


@pytest.mark.parametrize("step", [Step.AGREE, Step.CLOSE])
def test_what_the_desk_signed_for_another_case_is_not_kept_and_the_same_walk_goes_on_later(
    step: Step,
) -> None:
    case, other = open_case(), open_case(seed=2)
    other.settle()
    job, stations = begin_job(case), PoisonedStations(case)

    def take_over(at: Step, words: str) -> None:
        stations.other = other if at is step else None

    with pytest.raises(Trouble) as caught:
        carry_out(job, stations, take_over)
    assert caught.value.cause.startswith("the release desk sent it: ")
    assert next_step(job) is step
    carry_out(job, stations, lambda at, words: setattr(stations, "other", None))
    assert next_step(job) is Step.DONE
    assert job.certificate is not None
    assert job.closure is not None
    assert judge(job.certificate + job.closure, ANCHORS).state is State.COMPLETE


@pytest.mark.parametrize("reply", [Pending("two have to sign"), Unreachable("no route")])
def test_other_replies_pass_as_they_are(monkeypatch: pytest.MonkeyPatch, reply: DeskReply) -> None:
    _, job = settled()
    stations = with_desk(monkeypatch, reply)
    assert stations.ask_receipt(job) == reply
    assert stations.ask_closure(job) == reply
    assert stations.find_receipt(job) is None


def test_without_host_and_desk_there_is_no_way_to_either() -> None:
    case, job = settled()
    stations = AcquirerStations(None, None)
    assert isinstance(stations.settle(job, case.context(0)), Unreachable)
    assert isinstance(stations.ask_receipt(job), Unreachable)
    assert isinstance(stations.ask_closure(job), Unreachable)
    assert stations.find_receipt(job) is None
    assert isinstance(stations.visit(job, Goal.FLUSH), CutOff)
