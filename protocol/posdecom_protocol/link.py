"""The link: a reliable, ordered stream of bytes, both ways at once, over a line that loses, flips and invents bytes.

One class serves both ends. The initiator (agent) says HELLO until it hears WELCOME; it lives for one connection. The
acceptor (terminal) answers every HELLO and goes on listening after each connection; a HELLO with an unknown id ends
the connection before it. docs/link.md tells the wire format and the timers in full.

Turn of a driver, in this order: `receive` what came, `tick`, `events`, `send`, write `bytes_to_send`, sleep until
`deadline`. Undrained events are what holds the peer back: the window opens again when `events` is called.

Secures nothing: whoever holds the cable can greet, close and forge. That is what the channel is for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from . import waits
from .acknowledgement import Acknowledgement
from .connection import Connection
from .errors import FrameError, LocalError
from .frames import UNSEEDED_KINDS, Frame, FrameDecoder, FrameKind, encode_frame
from .greeting import NO_COMMON_VERSION, Feature, Hello, Service, Welcome
from .link_events import Closed, CloseReason, Connected, LinkCounters, LinkEvent, LinkState, Received
from .pace import Pace
from .speed_raise import BITS_PER_BYTE, SpeedRaise, Speeds
from .stream_receiver import StreamReceiver
from .stream_sender import StreamSender

FINISHED_IDS: Final = 16
"""So many connections back a HELLO is known as a leftover; a line does not hold one back for longer."""

ACK_EVERY_FRAMES: Final = 2


class Link:
    """One end. Build it with `initiator` or `acceptor`."""

    def __init__(self, now: float, line_rate_bytes_per_s: float | None, speeds: Speeds | None) -> None:
        """Not called directly."""
        self._speed = SpeedRaise(speeds)
        self._rate = line_rate_bytes_per_s if speeds is None else speeds.first / BITS_PER_BYTE
        self._pace = Pace(self._rate)
        self._decoder = FrameDecoder()
        self._counters = LinkCounters()
        self._state = LinkState.LISTENING
        self._welcome_for: Callable[[Hello], Welcome] | None = None
        self._hello: Hello | None = None
        self._hello_body = b""
        self._connection: Connection | None = None
        self._finished: deque[int] = deque(maxlen=FINISHED_IDS)
        self._events: list[LinkEvent] = []
        self._control: dict[FrameKind, bytes] = {}
        self._unacknowledged_frames = 0
        self._owes_ack = False
        self._last_byte_at = now
        self._last_ack_at = now
        self._repeat_at = now
        self._repeat_s = waits.HELLO_REPEAT_S
        self._give_up_at = now

    @classmethod
    def initiator(
        cls, hello: Hello, now: float, *, line_rate_bytes_per_s: float | None, speeds: Speeds | None = None
    ) -> Link:
        """The agent's end: says ``hello`` until it is answered. A rate of None means: a pipe, as fast as it goes.
        ``speeds`` where the port's speed can be raised: the rate is that of `baud` then."""
        link = cls(now, line_rate_bytes_per_s, speeds)
        link._state = LinkState.GREETING
        link._hello = hello
        link._hello_body = hello.encode()
        link._decoder = FrameDecoder(hello.frame_body_bytes_max)
        link._decoder.connection_id = hello.connection_id
        link._give_up_at = now + waits.HELLO_ANSWER_S
        return link

    @classmethod
    def acceptor(
        cls,
        welcome_for: Callable[[Hello], Welcome],
        now: float,
        *,
        line_rate_bytes_per_s: float | None,
        speeds: Speeds | None = None,
    ) -> Link:
        """The terminal's end. ``welcome_for`` gives the answer to a HELLO with a new id: same id, version as in
        `Hello.common_version`. It is asked once an id; a repeated HELLO gets the same answer."""
        link = cls(now, line_rate_bytes_per_s, speeds)
        link._welcome_for = welcome_for
        return link

    # -- in ------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Takes bytes from the line, any number of them."""
        if not data:
            return
        self._decoder.receive(data)
        self._last_byte_at = now
        self._handle_frames(now)
        if not self._decoder.is_waiting:
            self._line_quiet(now)

    def send(self, data: bytes) -> None:
        """Queues bytes of the stream; `LocalError` beyond `room`."""
        if len(data) > self.room():
            raise LocalError(f"send: {len(data)} bytes; room for {self.room()} while {self._state.value}")
        if data:
            self._open_connection().sender.queue(data)

    def close(self, now: float) -> None:
        """Ends the connection once all that was queued has arrived; `Closed` tells when. Nothing can be sent after."""
        if self._state is LinkState.GREETING:
            self._finish(CloseReason.CLOSED)
        elif self._state is LinkState.OPEN:
            self._state = LinkState.CLOSING
            self._repeat_at = now
            self._give_up_at = now + waits.CLOSE_S

    def tick(self, now: float) -> None:
        """Runs every timer that is due."""
        while (action := next((action for due, action in self._timers() if now >= due), None)) is not None:
            action(now)

    # -- out -----------------------------------------------------------------------------------------------------

    def events(self) -> list[LinkEvent]:
        """What happened since the last call, in order."""
        self._collect_received()
        events, self._events = self._events, []
        if self._connection is not None and self._connection.receiver.window_opened:
            self._owes_ack = True
        return events

    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes:
        """Frames for the line: as many as may be ahead of it, about two; with ``room_bytes`` no more once so many are
        reached (a frame is never split, so the last one may go beyond). Without a line rate the window is the bound."""
        out = bytearray()
        while now >= self._pace.opens_at and (room_bytes is None or len(out) < room_bytes):
            data = self._next_outgoing(now)
            if data is None:
                break
            out += data
            self._pace.handed_out(len(data), now)
        return bytes(out)

    def deadline(self) -> float | None:
        """When to call `tick` and `bytes_to_send` at the latest; in the past means now. None: only bytes wake it."""
        due = [due for due, _ in self._timers()]
        if self._has_outgoing():
            due.append(self._pace.opens_at)
        return min(due, default=None)

    def room(self) -> int:
        """How many bytes `send` takes now: 0 unless open."""
        return self._open_connection().sender.room_bytes if self._state is LinkState.OPEN else 0

    @property
    def state(self) -> LinkState:
        return self._state

    @property
    def baud(self) -> int | None:
        """What the port must have once all that was handed out before is written; None: leave it as it is."""
        return self._speed.baud

    @property
    def is_drained(self) -> bool:
        """Whether all that was sent has arrived at the peer."""
        return self._connection is None or self._connection.sender.is_idle

    @property
    def counters(self) -> LinkCounters:
        """Over all connections of this end."""
        sender = None if self._connection is None else self._connection.sender
        return replace(
            self._counters,
            frames_resent=self._counters.frames_resent + (sender.resent if sender else 0),
            frames_mended=self._decoder.mended_frames,
            frames_bad=self._counters.frames_bad + self._decoder.bad_frames,
        )

    # -- frames that came ----------------------------------------------------------------------------------------

    def _handle_frames(self, now: float) -> None:
        while (frame := self._decoder.next_frame()) is not None:
            handle = _HANDLERS.get((self._state, frame.kind))
            if handle is None:
                continue
            self._counters.frames_received += 1
            if self._connection is not None and frame.kind not in UNSEEDED_KINDS:
                self._connection.last_heard = now
                self._speed.heard(now)
            try:
                handle(self, frame, now)
            except FrameError:
                self._counters.frames_bad += 1

    def _on_hello(self, frame: Frame, now: float) -> None:
        if self._welcome_for is None:
            return
        hello = Hello.decode(frame.body)
        connection = self._connection
        if connection is not None and connection.connection_id == hello.connection_id:
            connection.last_heard = now
            self._queue_control(FrameKind.WELCOME, connection.greeting)
        elif hello.connection_id not in self._finished:
            self._answer(hello, self._welcome_for(hello), now)

    def _answer(self, hello: Hello, welcome: Welcome, now: float) -> None:
        if welcome.connection_id != hello.connection_id:
            raise LocalError("WELCOME for another connection id")
        self._queue_control(FrameKind.WELCOME, welcome.encode())
        if welcome.version == NO_COMMON_VERSION:
            return
        if self._connection is not None:
            self._finish(CloseReason.SUPERSEDED)
        self._connect(hello, welcome, now)

    def _on_welcome(self, frame: Frame, now: float) -> None:
        welcome = Welcome.decode(frame.body)
        hello = self._hello
        assert hello is not None
        if welcome.connection_id != hello.connection_id:
            return
        if hello.version_min <= welcome.version <= hello.version_max:
            self._connect(welcome, hello, now)
            if hello.service is not Service.IDENTIFY and welcome.features & Feature.SPEED:
                self._speed.begin(now)
        else:
            self._finish(CloseReason.NO_COMMON_VERSION)

    def _on_data(self, frame: Frame, now: float) -> None:
        self._unacknowledged_frames += 1
        at_once = self._open_connection().receiver.accept(frame)
        if at_once or self._unacknowledged_frames >= ACK_EVERY_FRAMES:
            self._owes_ack = True

    def _on_ack(self, frame: Frame, now: float) -> None:
        self._open_connection().sender.acknowledged(Acknowledgement.decode(frame.body), now)

    def _on_speed(self, frame: Frame, now: float) -> None:
        self._speed.received(frame.kind, frame.body, now)
        self._follow_speed()

    def _on_close(self, frame: Frame, now: float) -> None:
        if frame.body == _CLOSE_REQUEST:
            self._queue_control(FrameKind.CLOSE, _CLOSE_CONFIRMATION)
            closing = self._state is LinkState.CLOSING
            self._finish(CloseReason.CLOSED if closing else CloseReason.PEER_CLOSED)
        elif frame.body != _CLOSE_CONFIRMATION:
            raise FrameError("CLOSE is malformed")
        elif self._state is LinkState.CLOSING:
            self._finish(CloseReason.CLOSED)

    def _on_late_close(self, frame: Frame, now: float) -> None:
        """The confirmation was lost: the decoder still checks frames by the old id, so it can be given again."""
        if frame.body == _CLOSE_REQUEST:
            self._queue_control(FrameKind.CLOSE, _CLOSE_CONFIRMATION)

    # -- begin and end of a connection ---------------------------------------------------------------------------

    def _connect(self, peer: Welcome | Hello, own: Welcome | Hello, now: float) -> None:
        size = min(self._pace.frame_body_bytes_max, peer.frame_body_bytes_max)
        self._connection = Connection(
            own.connection_id,
            own.encode(),
            StreamSender(size, peer.receive_window_bytes, self._rate),
            StreamReceiver(own.receive_window_bytes),
            now,
        )
        self._decoder.connection_id = own.connection_id
        hello = own if isinstance(own, Hello) else peer
        self._decoder.mends_data = isinstance(hello, Hello) and hello.service is Service.CHANNEL
        self._state = LinkState.OPEN
        self._unacknowledged_frames = 0
        self._owes_ack = False
        self._last_ack_at = now
        self._events.append(Connected(peer))

    def _finish(self, reason: CloseReason) -> None:
        self._collect_received()
        if self._connection is not None:
            self._finished.append(self._connection.connection_id)
            self._counters.frames_resent += self._connection.sender.resent
        self._connection = None
        self._owes_ack = False
        self._speed.over(self._last_byte_at)
        self._state = LinkState.CLOSED if self._welcome_for is None else LinkState.LISTENING
        self._events.append(Closed(reason))

    def _collect_received(self) -> None:
        data = b"" if self._connection is None else self._connection.receiver.take()
        if data:
            self._events.append(Received(data))

    def _open_connection(self) -> Connection:
        assert self._connection is not None
        return self._connection

    # -- timers --------------------------------------------------------------------------------------------------

    def _timers(self) -> Iterator[tuple[float, Callable[[float], None]]]:
        """Every timer that runs in the present state; each action moves its own timer on."""
        if self._decoder.is_waiting:
            yield self._last_byte_at + self._pace.quiet_s, self._give_up_candidates
        if self._speed.due_at is not None:
            yield self._speed.due_at, self._turn_speed
        if self._state is LinkState.GREETING:
            yield self._repeat_at, self._repeat_hello
            yield self._give_up_at, lambda now: self._finish(CloseReason.NO_ANSWER)
        if self._connection is not None:
            yield from self._connection_timers(self._connection)
        if self._state is LinkState.CLOSING:
            yield self._give_up_at, lambda now: self._finish(CloseReason.UNCONFIRMED)

    def _connection_timers(self, connection: Connection) -> Iterator[tuple[float, Callable[[float], None]]]:
        yield connection.last_heard + waits.SILENCE_S, lambda now: self._finish(CloseReason.TIMED_OUT)
        if not self._owes_ack:
            yield self._last_ack_at + waits.KEEPALIVE_S, self._keep_alive
        if connection.sender.probe_at is not None:
            yield connection.sender.probe_at, self._probe
        if self._state is LinkState.CLOSING and connection.sender.is_idle:
            yield self._repeat_at, self._repeat_close

    def _turn_speed(self, now: float) -> None:
        self._speed.tick(now)
        self._follow_speed()

    def _follow_speed(self) -> None:
        rate = self._speed.rate_bytes_per_s
        if rate is not None and rate != self._rate:
            self._rate, self._pace = rate, Pace(rate)
            if self._connection is not None:
                self._connection.sender.line_changed(self._pace.frame_body_bytes_max, rate)

    def _give_up_candidates(self, now: float) -> None:
        while self._decoder.is_waiting:
            self._decoder.give_up()
            self._handle_frames(now)
        self._line_quiet(now)

    def _line_quiet(self, now: float) -> None:
        """Nothing more of a frame is under way: acknowledge now what came."""
        self._owes_ack = self._owes_ack or self._unacknowledged_frames > 0

    def _repeat_hello(self, now: float) -> None:
        self._queue_control(FrameKind.HELLO, self._hello_body)
        self._repeat_at = now + self._repeat_s
        self._repeat_s = min(waits.HELLO_REPEAT_S_MAX, self._repeat_s * 2)

    def _repeat_close(self, now: float) -> None:
        self._queue_control(FrameKind.CLOSE, _CLOSE_REQUEST)
        self._repeat_at = now + waits.CLOSE_REPEAT_S

    def _keep_alive(self, now: float) -> None:
        self._owes_ack = True

    def _probe(self, now: float) -> None:
        self._counters.probes += 1
        self._open_connection().sender.probe(now)

    # -- frames that go ------------------------------------------------------------------------------------------

    def _queue_control(self, kind: FrameKind, body: bytes) -> None:
        """At most one of a kind waits: a flood of greetings queues nothing."""
        self._control[kind] = encode_frame(Frame(kind, 0, 0, body), self._decoder.connection_id)

    def _has_outgoing(self) -> bool:
        connection = self._connection
        if connection is None or self._control or self._speed.is_busy:
            return bool(self._control) or self._speed.has_outgoing
        return self._owes_ack or connection.sender.may_send

    def _next_outgoing(self, now: float) -> bytes | None:
        if self._control:
            return self._control.pop(next(iter(self._control)))
        connection = self._connection
        if connection is None:
            return None
        if self._speed.is_busy or self._speed.has_outgoing:
            return self._speed.next_frame(connection.connection_id, max(now, self._pace.busy_until))
        if self._owes_ack:
            return self._acknowledgement(connection, now)
        if not connection.sender.may_send:
            return None
        self._counters.frames_sent += 1
        frame = connection.sender.next_frame(max(now, self._pace.busy_until))
        return encode_frame(frame, connection.connection_id)

    def _acknowledgement(self, connection: Connection, now: float) -> bytes:
        self._last_ack_at = now
        self._owes_ack = False
        self._unacknowledged_frames = 0
        body = connection.receiver.acknowledgement().encode()
        return encode_frame(Frame(FrameKind.ACK, 0, 0, body), connection.connection_id)


_CLOSE_REQUEST: Final = b"\0"
_CLOSE_CONFIRMATION: Final = b"\1"

_HANDLERS: Final[dict[tuple[LinkState, FrameKind], Callable[[Link, Frame, float], None]]] = {
    (LinkState.LISTENING, FrameKind.HELLO): Link._on_hello,
    (LinkState.LISTENING, FrameKind.CLOSE): Link._on_late_close,
    (LinkState.GREETING, FrameKind.WELCOME): Link._on_welcome,
    (LinkState.OPEN, FrameKind.HELLO): Link._on_hello,
    (LinkState.OPEN, FrameKind.DATA): Link._on_data,
    (LinkState.OPEN, FrameKind.ACK): Link._on_ack,
    (LinkState.OPEN, FrameKind.CLOSE): Link._on_close,
    (LinkState.OPEN, FrameKind.TEST): Link._on_speed,
    (LinkState.OPEN, FrameKind.SPEED): Link._on_speed,
    (LinkState.CLOSING, FrameKind.HELLO): Link._on_hello,
    (LinkState.CLOSING, FrameKind.DATA): Link._on_data,
    (LinkState.CLOSING, FrameKind.ACK): Link._on_ack,
    (LinkState.CLOSING, FrameKind.CLOSE): Link._on_close,
    (LinkState.CLOSED, FrameKind.CLOSE): Link._on_late_close,
}
"""An absent entry is a leftover of another state: the frame is dropped."""
