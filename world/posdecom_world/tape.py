"""What the frame decoders of one run were asked and answered; and whether other bytes would have changed an answer.

Of the bytes that arrive an end of the line learns only what its `FrameDecoder` answers. So a run in which other bytes
arrive is the same run, event for event, for as long as the decoder answers the same; and for good once the decoder is
in the same state. `Tape.would_answer` asks a decoder the questions of a run that was made, after the other bytes: if
every answer is the same, no second run is needed to know how that would have gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from posdecom_protocol import link
from posdecom_protocol.frames import Frame, FrameDecoder
from posdecom_simulator.world.line import End, VirtualLine

State = Mapping[str, object]

_TALLIES: Final = {"_bad", "_mended"}
"""Of a decoder: counted for reports; nothing is done because of them."""


class _Call(Enum):
    RECEIVE = "receive"
    NEXT_FRAME = "next frame"
    IS_WAITING = "is waiting"
    GIVE_UP = "give up"
    CONNECTION_ID = "connection id"
    MENDS_DATA = "mends data"


class _Entry(NamedTuple):
    call: _Call
    given: Any
    answer: Frame | bool | None
    after: State


@dataclass(slots=True)
class Arrival:
    """Bytes that arrived at one of the ends."""

    first: int
    """The number of the first of them among all that arrived, from 1."""
    data: bytes
    received: tuple[list[_Entry], int, int] | None = None
    """By which decoder, in which of its entries, and behind how many bytes. None: nobody was there to take them."""


@dataclass(slots=True)
class Tape:
    """One run, told by its decoders."""

    arrivals: list[Arrival] = field(default_factory=list)
    _unread: list[tuple[End, Arrival]] = field(default_factory=list)
    """What the agent's port holds, and that port."""
    _is_arriving: bool = False
    _received: tuple[list[_Entry], int, int] | None = None
    _port: Callable[[], End | None] = lambda: None

    def recording(self) -> Any:
        """A context in which every link has its decoder taped."""
        return patch.object(link, "FrameDecoder", lambda *limits: Taped(FrameDecoder(*limits), self))

    def listen(self, line: VirtualLine[Any, Any]) -> None:
        """To what arrives on ``line``."""
        watch = line.watch

        def before(data: bytes) -> None:
            self._is_arriving, self._received = True, None

        def after(data: bytes, to_left: bool) -> None:
            self._is_arriving = False
            first = self.arrivals[-1].first + len(self.arrivals[-1].data) if self.arrivals else 1
            arrival = Arrival(first, data, self._received)
            self.arrivals.append(arrival)
            if to_left:
                self._unread.append((line.left, arrival))
            if watch is not None:
                watch(data, to_left)

        line.before_arrival, line.watch, self._port = before, after, lambda: line.left

    def takes(self, entries: list[_Entry], data: bytes) -> None:
        """A decoder is about to note in ``entries`` what it receives: at once at the terminal, else from the port."""
        if self._is_arriving:
            self._received = entries, len(entries), 0
            return
        read = [arrival for port, arrival in self._unread if port is self._port()]
        self._unread.clear()
        assert data == b"".join(arrival.data for arrival in read), "not all that arrived came to a decoder"
        behind = 0
        for arrival in read:
            arrival.received = entries, len(entries), behind
            behind += len(arrival.data)

    def would_answer(self, place: int, data: bytes) -> bool:
        """Whether this run would have been the same if ``data`` had come with its arrival number ``place``."""
        arrival = self.arrivals[place]
        if arrival.received is None:
            return True
        if not data:
            return False  # of nothing nobody is told
        entries, at, behind = arrival.received
        was = entries[at].given
        decoder = _decoder(entries[at - 1].after)
        decoder.receive(was[:behind] + data + was[behind + len(arrival.data) :])
        for call, given, answer, after in entries[at + 1 :]:
            if _ASK[call](decoder, given) != answer:
                return False
            if call is not _Call.IS_WAITING and _state(decoder) == after:
                return True
        return True


class Taped:
    """A `FrameDecoder` of which each answer is noted. What a link does not ask for today is missing: it would be
    noticed."""

    def __init__(self, decoder: FrameDecoder, tape: Tape) -> None:
        self._decoder = decoder
        self._tape = tape
        self._entries = [_Entry(_Call.GIVE_UP, None, None, _state(decoder))]

    def receive(self, data: bytes) -> None:
        self._tape.takes(self._entries, data)
        self._ask(_Call.RECEIVE, data)

    def next_frame(self) -> Frame | None:
        frame = self._ask(_Call.NEXT_FRAME)
        assert not isinstance(frame, bool)
        return frame

    def give_up(self) -> None:
        self._ask(_Call.GIVE_UP)

    @property
    def is_waiting(self) -> bool:
        return bool(self._ask(_Call.IS_WAITING))

    @property
    def connection_id(self) -> int:
        return self._decoder.connection_id

    @connection_id.setter
    def connection_id(self, connection_id: int) -> None:
        self._ask(_Call.CONNECTION_ID, connection_id)

    @property
    def mends_data(self) -> bool:
        return self._decoder.mends_data

    @mends_data.setter
    def mends_data(self, mends_data: bool) -> None:
        self._ask(_Call.MENDS_DATA, mends_data)

    def _ask(self, call: _Call, given: Any = None) -> Frame | bool | None:
        answer: Frame | bool | None = _ASK[call](self._decoder, given)
        is_question = call is _Call.IS_WAITING
        after = self._entries[-1].after if is_question else _state(self._decoder)
        self._entries.append(_Entry(call, given, answer, after))
        return answer


_ASK: Final[Mapping[_Call, Callable[[FrameDecoder, Any], Any]]] = {
    _Call.RECEIVE: FrameDecoder.receive,
    _Call.NEXT_FRAME: lambda decoder, _: decoder.next_frame(),
    _Call.IS_WAITING: lambda decoder, _: decoder.is_waiting,
    _Call.GIVE_UP: lambda decoder, _: decoder.give_up(),
    _Call.CONNECTION_ID: lambda decoder, given: setattr(decoder, "connection_id", given),
    _Call.MENDS_DATA: lambda decoder, given: setattr(decoder, "mends_data", given),
}


def _state(decoder: FrameDecoder) -> State:
    """All that its next answers may depend on."""
    return {
        name: bytes(value) if isinstance(value, bytearray) else value
        for name, value in vars(decoder).items()
        if name not in _TALLIES
    }


def _decoder(state: State) -> FrameDecoder:
    made = FrameDecoder()
    for name, value in state.items():
        setattr(made, name, bytearray(value) if isinstance(value, bytes) else value)
    return made
