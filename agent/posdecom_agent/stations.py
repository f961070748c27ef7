"""The real stations: a terminal behind a port, a host behind TCP, a desk behind HTTP, and the wall clock."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

from posdecom_protocol.certificates import Anchors
from posdecom_protocol.documents.seal import SealedContext
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.messages import GetInventory, Inventory
from posdecom_protocol.stack import ChannelOver
from posdecom_protocol.wording import N_

from . import catalogue, host
from .adapters import SamePort
from .approach import Access
from .certify import certify
from .desk import Desk
from .host import HostAddress
from .job import Job
from .judgement import check_closure, check_receipts
from .line import Clock, WallClock, drive
from .look import ANSWER_S
from .port_access import LinkLost, PortError
from .ports import Port, open_port
from .procedure import ClosedBy, DeskReply, Receipts, SettleEnd, Unreachable
from .question import Question
from .replacement import Introduced, Introduction, NotThere, SomebodyElse
from .serial_line import SerialLine
from .site import TechnicianSite
from .survey import access_of
from .trouble import Trouble
from .visit import CutOff, Goal, Unplugged, Visit, VisitEnd

REOPEN_PAUSE_S: Final = 0.1

R = TypeVar("R", bound=DeskReply | None)
_NO_DESK: Final = Unreachable(N_("no --desk was given"))


@dataclass(frozen=True, slots=True)
class JudgedDesk:
    """A desk, and whom to believe what it signs. Anything else of it is a `Trouble` that names it, and is not kept."""

    desk: Desk
    anchors: Anchors

    def find_receipt(self, job: Job) -> Receipts | None:
        return self._judged(job, self.desk.find_receipt(job))

    def ask_receipt(self, job: Job) -> DeskReply:
        return self._judged(job, self.desk.ask_receipt(job))

    def ask_closure(self, job: Job) -> DeskReply:
        return self._judged(job, self.desk.ask_closure(job))

    def _judged(self, job: Job, reply: R) -> R:
        try:
            match reply:
                case Receipts(receipts):
                    check_receipts(receipts, job, self.anchors)
                case ClosedBy(closure) if job.certificate is not None:
                    check_closure(closure, job, self.anchors)
                case _:
                    pass
        except DocumentError as error:
            raise Trouble(
                catalogue.DOCUMENT, cause=N_("the release desk sent it: {error}", error=error)
            ) from error
        return reply


@dataclass(slots=True)
class AcquirerStations:
    """The acquirer's host and desk, each None where there is no way to it. No terminal, and nobody who certifies."""

    address: HostAddress | None
    desk: JudgedDesk | None
    watch: Callable[[], None] = lambda: None
    clock: Clock = field(default_factory=WallClock)

    def visit(self, job: Job, goal: Goal) -> VisitEnd:
        return CutOff(Unplugged(N_("this command does not go to the terminal")))

    def settle(self, job: Job, context: SealedContext) -> SettleEnd:
        if self.address is None:
            return Unreachable(N_("no --host was given"))
        return host.settle(job, context, self.address, self.clock, self.pause, self.watch)

    def find_receipt(self, job: Job) -> Receipts | None:
        return None if self.desk is None else self.desk.find_receipt(job)

    def ask_receipt(self, job: Job) -> DeskReply:
        return _NO_DESK if self.desk is None else self.desk.ask_receipt(job)

    def ask_closure(self, job: Job) -> DeskReply:
        return _NO_DESK if self.desk is None else self.desk.ask_closure(job)

    def meet(self, serial: str) -> Introduction:
        return NotThere(N_("this command does not go to any terminal"))

    def certify(self, job: Job) -> bytes:
        raise AssertionError("this command certifies nothing")

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(slots=True, kw_only=True)
class OfficeStations(AcquirerStations):
    """And a technician who certifies."""

    site: TechnicianSite

    def certify(self, job: Job) -> bytes:
        site, version = self.site, importlib.metadata.version("posdecom")
        return certify(job, site.technician.name, site.signing_key(), site.anchors, version, self.clock.now())


@dataclass(slots=True, kw_only=True)
class RealStations(OfficeStations):
    """As `procedure.Stations` wants them."""

    line: SerialLine
    replacement: SerialLine | None = None
    """Where the terminal hangs that takes over."""
    _access: Access | None = None
    _was_open: bool = False
    _same_port: SamePort | None = None

    def visit(self, job: Job, goal: Goal) -> VisitEnd:
        """One visit; the first one fails at once where there is no port, later ones wait for it to come back."""
        port = self._open()
        try:
            visit = Visit(
                job,
                self._lazy_access(),
                goal,
                self.clock.now(),
                speeds=self.line.speeds,
            )
            drive(visit, port, self.clock, self.watch)
        except LinkLost as error:
            return CutOff(Unplugged(error.cause))
        finally:
            port.close()
        assert visit.end is not None
        return visit.end

    def meet(self, serial: str) -> Introduction:
        if self.replacement is None:
            return NotThere(N_("no --replacement-port was given"))
        question = self._asked(self.replacement, serial)
        if question.stranger is not None:
            return SomebodyElse(question.stranger)
        if isinstance(question.reply, Inventory) and question.peer is not None:
            return Introduced(question.peer, question.reply, int(self.clock.now()))
        if question.in_clear:
            return NotThere(N_("it only serves proofs: it was taken out of service"))
        cause = question.cause.reason if isinstance(question.cause, ChannelOver) else N_("it does not answer")
        return NotThere(cause)

    # --- private -----------------------------------------------------------------------------------

    def _asked(self, line: SerialLine, serial: str) -> Question:
        port = open_port(line.url, line.baud)
        try:
            rate = line.rate_bytes_per_s
            question = Question(
                GetInventory(),
                Inventory,
                ANSWER_S,
                self._lazy_access(),
                self.clock.now(),
                serial=serial,
                line_rate_bytes_per_s=rate,
            )
            with suppress(LinkLost):  # the question says that nothing answered it
                drive(question, port, self.clock, self.watch)
        finally:
            port.close()
        return question

    def _lazy_access(self) -> Access:
        if self._access is None:
            self._access = access_of(self.site)
        return self._access

    def _port_now(self) -> str:
        if self._same_port is None:
            self._same_port = SamePort(self.line.url)
        return self._same_port.url()

    def _open(self) -> Port:
        """The port; once it was open, its absence is a restart or a plug that comes back, for a while."""
        give_up_at = self.clock.now() + self.line.reopen_s
        while True:
            try:
                port = open_port(self._port_now(), self.line.baud)
            except PortError:  # forbidden or busy too: what comes back gets its rights late, and is probed
                if not self._was_open or self.clock.now() >= give_up_at:
                    raise
                self.pause(REOPEN_PAUSE_S)
            else:
                self._was_open = True
                return port
