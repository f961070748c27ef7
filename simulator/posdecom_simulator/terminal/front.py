"""The terminal on its line: a stack that listens, and a terminal that answers what arrives. Sans-IO.

In a channel the terminal speaks first (`Confirmed`): by then it has judged the agent's certificate. In the clear it
gives proofs and nothing else, whatever service the HELLO asks for; one that has no identity any more makes no channel.
Replies are taken from the terminal one at a time, as the line takes them, so that a flush needs the memory of one
message. A terminal that must restart is deaf and lets its last reply arrive; then `is_restart_due`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, assert_never

from posdecom_protocol.channel import Channel
from posdecom_protocol.greeting import Feature, Hello, Service, Welcome
from posdecom_protocol.lifecycle import PROOFS_IN_CLEAR
from posdecom_protocol.link import Link
from posdecom_protocol.messages import Reply, Request
from posdecom_protocol.speed_raise import Speeds
from posdecom_protocol.stack import Arrived, Greeted, Lost, Opened, Stack

from .terminal import Terminal

REQUESTS_MAX: Final = 8
"""An agent keeps six reads on the line; what asks for more than these at once is no agent."""

RESTART_S: Final = 2.0
"""How long the last reply may take to arrive before the terminal restarts all the same."""


class Front:
    """One terminal on one line."""

    def __init__(
        self,
        terminal: Terminal,
        channel: Callable[[], Channel],
        now: float,
        *,
        line_rate_bytes_per_s: float | None = None,
        speeds: Speeds | None = None,
        features: Feature = Feature.PACKED_ITEMS,
    ) -> None:
        self._terminal = terminal
        self._new_channel = channel
        self._features = features if speeds is None else features | Feature.SPEED
        self._is_in_channel = False
        self._requests: deque[Request] = deque()
        self._replies: Iterator[Reply] = iter(())
        self._waiting: Reply | None = None
        self._restart_by: float | None = None
        link = Link.acceptor(self._welcome, now, line_rate_bytes_per_s=line_rate_bytes_per_s, speeds=speeds)
        self._stack = Stack(link, self._channel_for)

    def receive(self, data: bytes, now: float) -> None:
        self._stack.receive(data, now)
        self._turn(now)

    def tick(self, now: float) -> None:
        self._stack.tick(now)
        self._turn(now)

    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes:
        return self._stack.bytes_to_send(now, room_bytes)

    def deadline(self) -> float | None:
        due = [due for due in (self._stack.deadline(), self._restart_by) if due is not None]
        return min(due, default=None)

    def is_restart_due(self, now: float) -> bool:
        """The terminal must start afresh, and its last reply arrived (or had its time to)."""
        if self._restart_by is None:
            return False
        return self._stack.is_drained or now >= self._restart_by

    @property
    def stack(self) -> Stack:
        """For its counters."""
        return self._stack

    # --- private -----------------------------------------------------------------------------------

    def _welcome(self, hello: Hello) -> Welcome:
        """Also for a HELLO that leads to no connection: nothing may be noted of it here."""
        device = self._terminal.device
        return Welcome(
            connection_id=hello.connection_id,
            state=self._terminal.life.state,
            tampered=self._terminal.is_tampered,
            manufacturer=device.manufacturer,
            model=device.model,
            serial=device.serial,
            version=hello.common_version(),
            features=self._features,
        )

    def _channel_for(self, hello: Welcome | Hello) -> Channel | None:
        assert isinstance(hello, Hello)
        has_identity = self._terminal.has_identity and self._terminal.life.state not in PROOFS_IN_CLEAR
        return self._new_channel() if hello.service is Service.CHANNEL and has_identity else None

    def _turn(self, now: float) -> None:
        for event in self._stack.events():
            match event:
                case Greeted():
                    self._forget_requests()
                case Opened(peer):
                    self._is_in_channel = peer is not None
                    self._waiting = self._terminal.confirm() if self._is_in_channel else None
                case Arrived(message):
                    self._take(message, now)
                case Lost():
                    self._forget_requests()
                case _:
                    assert_never(event)
        self._reply(now)

    def _take(self, message: Request | Reply, now: float) -> None:
        if not isinstance(message, Request) or len(self._requests) == REQUESTS_MAX:
            self._stack.close(now)
        else:
            self._requests.append(message)

    def _forget_requests(self) -> None:
        self._requests.clear()
        self._replies = iter(())
        self._waiting = None

    def _reply(self, now: float) -> None:
        while self._stack.is_ready and self._restart_by is None:
            reply = self._waiting or self._next_reply(now)
            self._waiting = None
            if reply is None:
                return
            self._stack.send(reply)
            if self._terminal.restart_due:
                self._restart_by = now + RESTART_S

    def _next_reply(self, now: float) -> Reply | None:
        reply = next(self._replies, None)
        while reply is None and self._requests:
            self._replies = self._answers(self._requests.popleft(), now)
            reply = next(self._replies, None)
        return reply

    def _answers(self, request: Request, now: float) -> Iterator[Reply]:
        if self._is_in_channel:
            return self._terminal.answer(request, now)
        return self._terminal.answer_in_clear(request)
