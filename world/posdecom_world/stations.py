"""The agent's stations in virtual time: a port, a host and a desk, each of which fails when fate says so."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from posdecom_agent.approach import Access
from posdecom_agent.certify import certify
from posdecom_agent.desk import Desk
from posdecom_agent.host import Connection, settle
from posdecom_agent.job import Job
from posdecom_agent.line import drive
from posdecom_agent.port_access import LinkLost
from posdecom_agent.procedure import DeskReply, Receipts, SettleEnd
from posdecom_agent.replacement import Introduction, NotThere
from posdecom_agent.stations import JudgedDesk
from posdecom_agent.visit import CutOff, Goal, Unplugged, Visit, VisitEnd
from posdecom_protocol.data_elements import CODE_APPROVED, CODE_DUPLICATE
from posdecom_protocol.documents.seal import SealedContext
from posdecom_protocol.iso8583 import IsoMessage, LengthPrefix, decode, frame_message
from posdecom_protocol.money import CardGroup
from posdecom_simulator.acquirer.desk import Answer
from posdecom_simulator.acquirer.host import Behaviour
from posdecom_simulator.world.faults import Fate, Fault

if TYPE_CHECKING:
    from .run import World

TURN_S = 0.0001
"""What one turn of a real driver takes at least: time moves on even where nobody waits."""
HOST_ANSWERS_S = 0.05
HOST_LATE_S = 70.0
"""Longer than the agent waits."""


class Nobody:
    """The agent's side of the line while no agent has the port open."""

    def turn(self, now: float) -> bytes:
        return b""

    def receive(self, data: bytes, now: float) -> None:
        pass

    def deadline(self) -> float | None:
        return None


class VirtualPort(Nobody):
    """The agent's port, which is the left end of the line: reading from it is what lets time pass."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._incoming = bytearray()
        self._outgoing = bytearray()

    def turn(self, now: float) -> bytes:
        self._world.set_line(now)
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def receive(self, data: bytes, now: float) -> None:
        self._incoming += data

    def read(self, timeout_s: float) -> bytes:
        line = self._world.line
        self._world.before_asking()
        self._world.let_pass(max(timeout_s, TURN_S), lambda: bool(self._incoming) or not line.is_plugged)
        if not line.is_plugged and not self._incoming:
            raise LinkLost("the line", "unplugged")
        data = bytes(self._incoming)
        self._incoming.clear()
        return data

    def write(self, data: bytes) -> int:
        if not self._world.line.is_plugged:
            raise LinkLost("the line", "unplugged")
        self._outgoing += data
        return len(data)

    def set_speed(self, baud: int) -> None:
        pass

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        pass


class MoodyHost(Behaviour):
    """Refuses advices about sales, and disagrees with totals, where fate says so."""

    def __init__(self, fate: Fate, stans_of_day: frozenset[int]) -> None:
        self._fate = fate
        self._stans_of_day = stans_of_day
        self.refused: set[int] = set()

    def refusal(self, request: IsoMessage) -> str | None:
        stan = int(request.text(11))
        if (
            request.mti != "0220"
            or stan not in self._stans_of_day
            or not self._fate.strikes(Fault.HOST_REFUSES)
        ):
            return None
        self.refused.add(stan)
        return "05"

    def agrees(self, group: CardGroup, equal: bool) -> bool:
        return equal and not self._fate.strikes(Fault.HOST_DISAGREES)


class VirtualConnection:
    """One connection to the host; as `host.Connection`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stream = LengthPrefix()
        self._answers: deque[tuple[float, bytes]] = deque()
        self._is_broken = False

    def send(self, data: bytes) -> None:
        for message in self._stream.receive(data):
            if not self._is_broken:
                self._ask(message)

    def receive(self, timeout_s: float) -> bytes | None:
        if self._is_broken:
            raise ConnectionResetError("the connection broke")
        now = self._world.line.now
        due = self._answers[0][0] if self._answers else now + timeout_s
        self._world.let_pass(max(TURN_S, min(timeout_s, due - now)))
        if self._answers and self._answers[0][0] <= self._world.line.now:
            return self._answers.popleft()[1]
        return None

    def close(self) -> None:
        pass

    def _ask(self, message: bytes) -> None:
        self._world.before_asking()
        fate, now = self._world.fate, self._world.line.now
        if fate.strikes(Fault.HOST_CUT):
            self._is_broken = True
            return
        answer = self._world.host.answer(message, self._world.host_now())
        self._world.host_was_asked(message, answer)
        struck = {
            fault: fate.strikes(fault)
            for fault in (Fault.ANSWER_LOST, Fault.HOST_SILENT, Fault.ANSWER_LATE, Fault.ANSWER_TWICE)
        }
        if struck[Fault.ANSWER_LOST]:
            self._is_broken = True
        elif answer is not None and not struck[Fault.HOST_SILENT]:
            due = now + (HOST_LATE_S if struck[Fault.ANSWER_LATE] else HOST_ANSWERS_S)
            if fate.strikes(Fault.HOST_CONTRADICTS):
                self._answers.append((due, frame_message(_opposite(answer))))
            self._answers.extend([(due, frame_message(answer))] * (1 + struck[Fault.ANSWER_TWICE]))


def _opposite(answer: bytes) -> bytes:
    message = decode(answer)
    is_good = message.text(39) in (CODE_APPROVED, CODE_DUPLICATE)
    return replace(message, fields={**message.fields, 39: "05" if is_good else CODE_APPROVED}).encode()


@dataclass(frozen=True)
class VirtualHost:
    world: World

    def __str__(self) -> str:
        return "the host"

    def connect(self) -> Connection:
        if self.world.fate.strikes(Fault.CONNECT_REFUSED):
            raise ConnectionRefusedError("nobody listens")
        if self.world.fate.strikes(Fault.ACQUIRER_RESTART):
            self.world.open_acquirer()
        return VirtualConnection(self.world)


@dataclass(frozen=True)
class VirtualStations:
    """As `procedure.Stations`; everything in it is the agent's own but for port, host and desk."""

    world: World
    access: Access

    def visit(self, job: Job, goal: Goal) -> VisitEnd:
        line = self.world.line
        line.left = port = VirtualPort(self.world)
        line.plug()
        visit = Visit(
            job, self.access, goal, self.world.now(), line_rate_bytes_per_s=self.world.agent_rate_bytes_per_s
        )
        try:
            drive(visit, port, self.world)
        except LinkLost as error:
            return CutOff(Unplugged(error.cause))
        finally:
            line.left = Nobody()
        assert visit.end is not None
        return visit.end

    def settle(self, job: Job, context: SealedContext) -> SettleEnd:
        return settle(job, context, VirtualHost(self.world), self.world, self.pause)

    def find_receipt(self, job: Job) -> Receipts | None:
        return self._desk().find_receipt(job)

    def ask_receipt(self, job: Job) -> DeskReply:
        return self._desk().ask_receipt(job)

    def ask_closure(self, job: Job) -> DeskReply:
        return self._desk().ask_closure(job)

    def meet(self, serial: str) -> Introduction:
        return NotThere("no order of the world names a replacement")

    def certify(self, job: Job) -> bytes:
        technician = self.world.scene.site.technician
        return certify(
            job,
            technician.technician.name,
            technician.signing_key(),
            technician.anchors,
            "0",
            self.world.now(),
        )

    def pause(self, seconds: float) -> None:
        self.world.let_pass(seconds)

    def _desk(self) -> JudgedDesk:
        return JudgedDesk(Desk("desk:", self._exchange), self.world.scene.site.technician.anchors)

    def _exchange(self, method: str, url: str, body: bytes | None, media_type: str) -> tuple[int, bytes]:
        world = self.world
        world.before_asking()
        world.let_pass(HOST_ANSWERS_S)
        if world.fate.strikes(Fault.DESK_AWAY):
            raise ConnectionRefusedError("nobody at the desk")
        answer = self._asked(path := url.removeprefix("desk:"), body or b"")
        world.note(f"desk {method} {answer.status}")
        world.desk_was_asked(path, body or b"", answer.body)
        if world.fate.strikes(Fault.DESK_ANSWER_LOST):
            raise ConnectionResetError("the desk's answer is lost")
        return answer.status, answer.body

    def _asked(self, path: str, body: bytes) -> Answer:
        desk, now = self.world.desk, self.world.desk_now()
        match path.split("/")[2:]:
            case ["seals"]:
                return desk.post_seal(body, now)
            case ["seals", digest]:
                return desk.poll_seal(digest)
            case ["certificates"]:
                return desk.post_certificate(body, now)
            case ["salvages"]:
                return desk.post_salvage(body)
            case _:
                return Answer(404, b"")
