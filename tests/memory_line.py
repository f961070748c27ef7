"""Two ends of a line in memory, and the demo site's terminal and technician to put there.

Bytes arrive at once and undamaged; time passes only when both ends are quiet, to the next deadline of either.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from posdecom_agent.approach import Access
from posdecom_agent.site import TechnicianSite
from posdecom_protocol.certificates import Anchors
from posdecom_protocol.channel import TlsChannel, client_context, server_context
from posdecom_protocol.documents import issue
from posdecom_protocol.documents.order import Action, AfterCutoff, Mode, Order, Preauths, Reason
from posdecom_simulator.population import populate
from posdecom_simulator.provision import provision, seeded
from posdecom_simulator.site import AcquirerSite, SiteTerminal
from posdecom_simulator.terminal.personalise import personalise
from posdecom_simulator.terminal.store import MemoryStore
from posdecom_simulator.terminal.terminal import Terminal

NOW: Final = 1_800_000_000
"""2027-01-15T08:00:00Z."""

TURNS_MAX: Final = 100_000


class End(Protocol):
    def receive(self, data: bytes, now: float) -> None: ...
    def tick(self, now: float) -> None: ...
    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes: ...
    def deadline(self) -> float | None: ...


@dataclass
class MemoryLine:
    """``watch`` is called after every turn."""

    left: End
    right: End
    now: float = NOW
    is_cut: bool = False
    """What is sent gets lost."""
    watch: Callable[[], None] = lambda: None
    carried: list[tuple[str, bytes]] = field(default_factory=list)

    def exchange(self) -> None:
        """Carry bytes until both ends are quiet; no time passes."""
        for _ in range(TURNS_MAX):
            if not self._carry():
                return
        raise AssertionError("the ends never fall quiet")

    def run(self, until: Callable[[], bool], limit_s: float = 60.0) -> None:
        """Exchange, and move time on to the next deadline, until ``until()``; fails where that takes too long."""
        end = self.now + limit_s
        self.exchange()
        while not until():
            assert self._next_deadline() <= end, "time ran out"
            self._move_on(self._next_deadline())

    def run_for(self, seconds: float) -> None:
        """Let so much time pass, deadline by deadline."""
        end = self.now + seconds
        self.exchange()
        while self._next_deadline() <= end:
            self._move_on(self._next_deadline())
        self._move_on(end)

    def _next_deadline(self) -> float:
        return min(at for at in (self.left.deadline(), self.right.deadline(), math.inf) if at is not None)

    def _move_on(self, to: float) -> None:
        self.now = max(self.now, to)
        self.exchange()

    def _carry(self) -> bool:
        moved = False
        for name, source, target in (("right", self.left, self.right), ("left", self.right, self.left)):
            source.tick(self.now)
            data = source.bytes_to_send(self.now)
            if data:
                moved = True
                self.carried.append((name, data))
                if not self.is_cut:
                    target.receive(data, self.now)
            self.watch()
        return moved


@dataclass(frozen=True)
class Demo:
    """A demo site with two terminals, and what its parties hold."""

    directory: Path

    def __post_init__(self) -> None:
        provision(self.directory, terminals=2, seed=1, now=NOW)

    def site_terminal(self, number: int = 1) -> SiteTerminal:
        return SiteTerminal.load(self.directory / "terminals" / f"PD-{number:06d}")

    def terminal(self, number: int = 1, transactions: int = 6) -> tuple[Terminal, MemoryStore]:
        """A terminal that has traded and was just switched on."""
        site, store = self.site_terminal(number), MemoryStore()
        personalise(store, site, populate(1, transactions, site.settings.contexts, NOW - 86_400))
        return Terminal.boot(store, seeded(number)), store

    def terminal_channel(self, number: int = 1, floor_at: float | None = None) -> TlsChannel:
        """A new channel at the terminal's end."""
        site = self.site_terminal(number)
        context = server_context(
            str(site.directory / "channel.pem"), str(site.directory / "channel.key"), site.technician_anchors
        )
        return TlsChannel.server(context, site.technician_anchors, floor_at=floor_at)

    @property
    def anchors(self) -> Anchors:
        return TechnicianSite.load(self.directory / "technician").anchors

    def access(self, seed: int = 1) -> Access:
        """The technician's."""
        site = TechnicianSite.load(self.directory / "technician")
        context = client_context(str(site.chain_path), str(site.key_path), site.anchors)
        return Access.by_tls(context, site.anchors, seeded(1000 + seed))

    def order(self, number: int = 1, counter: int = 1) -> bytes:
        settings = self.site_terminal(number).settings
        order = Order(
            order_id=f"order-{counter}",
            counter=counter,
            issued_at=NOW,
            not_before=NOW - 60,
            not_after=NOW + 3600,
            serial=settings.serial,
            accounts=tuple(context.account for context in settings.contexts),
            reason=Reason.CLOSING,
            mode=Mode.RETIRE,
            cutoff_at=NOW,
            after_cutoff=AfterCutoff.REFUND,
            preauths=Preauths.LIST,
            actions=(Action.FLUSH, Action.ERASE),
            issuer="Demo Acquirer",
        )
        return issue(order, AcquirerSite.load(self.directory / "acquirer").order.signing_key())
