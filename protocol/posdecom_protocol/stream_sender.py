"""The sending half of a stream: cuts it into DATA frames, keeps what is not acknowledged, resends what was lost.

Every frame has a number of its own; what is sent again gets a new one. The line keeps order, so a number that is
missing below one that came is a loss, known at once. A timer serves only the case that nothing at all is heard: it
sends a small probe, whose acknowledgement then tells everything.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from typing import Final

from .acknowledgement import NUMBERS_MAPPED, Acknowledgement
from .errors import FrameError, LocalError
from .frame_size import FrameSize
from .frames import FRAME_OVERHEAD_BYTES, Frame, FrameKind
from .greeting import FRAME_BODY_BYTES_MIN
from .limits import STREAM_WINDOW_BYTES_MAX
from .round_trip import RoundTrip
from .wrapping import expand

SEND_BUFFER_BYTES_MAX: Final = 2 * STREAM_WINDOW_BYTES_MAX
"""One window on its way and one to follow it without a pause."""

WINDOW_S: Final = 0.25
"""Longer than two latency timers of 16 ms and an acknowledgement behind a frame of the other direction."""

WINDOW_FRAMES: Final = 4
"""Acknowledgements come every two frames: two on their way, two being acknowledged."""


@dataclass(slots=True)
class _Sent:
    start: int
    end: int
    leaves_at: float

    @property
    def line_bytes(self) -> int:
        return self.end - self.start + FRAME_OVERHEAD_BYTES


class StreamSender:
    """Stream bytes in by `queue`, frames out by `next_frame`, acknowledgements in by `acknowledged`."""

    def __init__(
        self, frame_body_bytes_max: int, peer_window_bytes: int, line_rate_bytes_per_s: float | None
    ) -> None:
        self._size_max = max(FRAME_BODY_BYTES_MIN, min(frame_body_bytes_max, peer_window_bytes // 2))
        self._size = FrameSize(FRAME_BODY_BYTES_MIN, self._size_max)
        self._rate = line_rate_bytes_per_s
        self._round_trip = RoundTrip()
        self._buffer = bytearray()
        self._base = 0
        self._next_new = 0
        self._edge = peer_window_bytes
        self._next_number = 0
        self._highest_settled = -1
        self._in_flight: dict[int, _Sent] = {}
        self._in_flight_bytes = 0
        self._lost: list[tuple[int, int]] = []
        self._probing = False
        self._waits_since = 0.0
        self.resent = 0

    @property
    def room_bytes(self) -> int:
        """How much more `queue` takes."""
        return SEND_BUFFER_BYTES_MAX - len(self._buffer)

    @property
    def is_idle(self) -> bool:
        """Whether everything queued is acknowledged."""
        return not self._buffer

    @property
    def may_send(self) -> bool:
        """Whether `next_frame` has one to give."""
        if self._probing and self._lost:
            return True
        if self._in_flight and self._next_number - next(iter(self._in_flight)) >= NUMBERS_MAPPED:
            return False
        return self._in_flight_bytes < self._window_bytes() and bool(self._lost or self._may_send_new)

    @property
    def probe_at(self) -> float | None:
        """When to call `probe` unless an acknowledgement comes before."""
        return self._waits_since + self._round_trip.wait_s if self._in_flight else None

    def line_changed(self, frame_body_bytes_max: int, line_rate_bytes_per_s: float) -> None:
        """Another speed: how noisy it is must be found anew."""
        self._size = FrameSize(FRAME_BODY_BYTES_MIN, min(self._size_max, frame_body_bytes_max))
        self._rate = line_rate_bytes_per_s

    def queue(self, data: bytes) -> None:
        if len(data) > self.room_bytes:
            raise LocalError(f"send: {len(data)} bytes; room for {self.room_bytes}")
        self._buffer += data

    def next_frame(self, leaves_at: float) -> Frame:
        """The next DATA frame, of which the last byte will leave at about ``leaves_at``. Only when `may_send`."""
        assert self.may_send
        self.resent += bool(self._lost)
        start, end = self._next_range(FRAME_BODY_BYTES_MIN if self._probing else self._size.value)
        self._probing = False
        sent = _Sent(start, end, leaves_at)
        frame = Frame(
            FrameKind.DATA,
            self._next_number & 0xFFFF,
            start & 0xFFFF,
            bytes(self._buffer[start - self._base : end - self._base]),
        )
        self._in_flight[self._next_number] = sent
        self._in_flight_bytes += sent.line_bytes
        self._next_number += 1
        self._waits_since = max(self._waits_since, leaves_at)
        return frame

    def acknowledged(self, acknowledgement: Acknowledgement, now: float) -> None:
        """Settles what the acknowledgement speaks of; `FrameError` when it speaks of what was never sent."""
        base = expand(acknowledgement.next_offset, 32, self._base)
        highest = expand(acknowledgement.highest, 16, self._highest_settled)
        if base > self._next_new or highest >= self._next_number:
            raise FrameError("ACK of what was never sent")
        self._edge = max(self._edge, base + acknowledgement.window_bytes)
        if highest in self._in_flight:
            self._round_trip.measured(now - self._in_flight[highest].leaves_at)
        self._release(base)
        if self._settle(highest, acknowledgement.missing):
            self._round_trip.heard()
            self._waits_since = max(self._waits_since, now)

    def probe(self, now: float) -> None:
        """Nothing was heard for too long: the oldest frame goes out again, in a small piece, above any window."""
        oldest = next(iter(self._in_flight))
        self._give_back(self._take_from_flight(oldest))
        self._round_trip.unheard()
        self._probing = bool(self._lost)
        self._waits_since = now

    @property
    def _may_send_new(self) -> bool:
        """No slivers: a frame goes out full, or with all there is; the peer's window opens far enough for that."""
        unsent = self._base + len(self._buffer) - self._next_new
        return 0 < min(unsent, self._size.value) <= self._edge - self._next_new

    def _window_bytes(self) -> float:
        if self._rate is None:
            return STREAM_WINDOW_BYTES_MAX
        frame_bytes = self._size.value + FRAME_OVERHEAD_BYTES
        return min(STREAM_WINDOW_BYTES_MAX, self._rate * WINDOW_S + WINDOW_FRAMES * frame_bytes)

    def _next_range(self, size: int) -> tuple[int, int]:
        if self._lost:
            return self._next_lost_range(size)
        start = self._next_new
        self._next_new = min(start + size, self._base + len(self._buffer), self._edge)
        return start, self._next_new

    def _next_lost_range(self, size: int) -> tuple[int, int]:
        """The lowest offsets first, for the peer waits for them; ranges that touch are joined."""
        start, end = self._lost.pop(0)
        while self._lost and self._lost[0][0] == end and end - start < size:
            _, end = self._lost.pop(0)
        if end - start > size:
            self._lost.insert(0, (start + size, end))
        return start, min(end, start + size)

    def _release(self, base: int) -> None:
        """Everything before ``base`` is at the peer."""
        if base <= self._base:
            return
        del self._buffer[: base - self._base]
        self._base = base
        self._lost = [(max(start, base), end) for start, end in self._lost if end > base]

    def _settle(self, highest: int, missing: int) -> bool:
        """Takes every number up to ``highest`` out of flight, as arrived or as lost; False when there was none.

        None of them is older than the map: at most `NUMBERS_MAPPED` are open, and a probe closes the oldest.
        """
        self._highest_settled = max(self._highest_settled, highest)
        settled = [number for number in self._in_flight if number <= highest]
        for number in settled:
            sent = self._take_from_flight(number)
            lost = number < highest and bool(missing >> (highest - 1 - number) & 1)
            self._size.settled(sent.line_bytes, lost)
            if lost:
                self._give_back(sent)
        return bool(settled)

    def _take_from_flight(self, number: int) -> _Sent:
        sent = self._in_flight.pop(number)
        self._in_flight_bytes -= sent.line_bytes
        return sent

    def _give_back(self, sent: _Sent) -> None:
        """Queues for sending again what is lost of it."""
        start = max(sent.start, self._base)
        if start < sent.end:
            insort(self._lost, (start, sent.end))
