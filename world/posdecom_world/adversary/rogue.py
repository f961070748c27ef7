"""A terminal that is none: it holds the key of the channel, greets as it likes, and says what it is told to.

It greets and keeps the line alive by the rules, or nobody would listen; what goes into the session is anybody's bytes.
What it is not told to say it says as the true terminal would (`Truth`): a lie may need the truth around it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from posdecom_agent.journal import Row
from posdecom_protocol.channel import Channel
from posdecom_protocol.greeting import Feature, Hello, Service, Welcome
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.link import Link
from posdecom_protocol.messages import (
    Confirmed,
    Erasing,
    GetInventory,
    GetProof,
    Inventory,
    Items,
    OfferCancellation,
    OfferOrder,
    OfferRelease,
    Proof,
    ProofKind,
    ReadItems,
    ReadPacked,
    ReadSalvage,
    Refusal,
    Refused,
    Released,
    Reply,
    Request,
    Salvaged,
    Sealed,
    StartErase,
    Thawed,
    encode,
)
from posdecom_protocol.packed_items import pack
from posdecom_protocol.stack import Arrived, Opened, Stack
from posdecom_simulator.world.channel import SERVER_FLIGHT_BYTES, StubChannel

from ..scene import NOW, SERIAL, site
from .bare import Bare, NoHandshake

BROKEN_HANDSHAKE: Final = bytes(SERVER_FLIGHT_BYTES)
"""What a terminal without its identity answers to a handshake: nothing that holds."""

_PROOFS: Final = {
    ProofKind.ORDER: ("order", 0),
    ProofKind.SEAL: ("seal", 0),
    ProofKind.RECEIPT: ("receipt", 1),
    ProofKind.SECOND_RECEIPT: ("receipt", 2),
    ProofKind.EVIDENCE: ("evidence", 0),
}


@dataclass(frozen=True, slots=True)
class Truth:
    """What the true terminal says, by the journal of a run in which it said so."""

    rows: tuple[Row, ...]
    inventory: Inventory
    salvaged: Salvaged

    def answer(self, request: Request) -> Reply:
        match request:
            case OfferOrder():
                return Sealed(self._held("seal", 0))
            case ReadItems(first, count):
                return self.items(first, count)
            case ReadPacked(first, count):
                return pack(self.items(first, count))
            case OfferRelease():
                return Released(LifecycleState.SETTLED)
            case StartErase():
                return Erasing()
            case OfferCancellation():
                return Thawed()
            case GetInventory():
                return self.inventory
            case ReadSalvage():
                return self.salvaged
            case GetProof(kind):
                document = self._find(*_PROOFS[kind])
                return Refused(Refusal.NOT_FOUND) if document is None else Proof(kind, document)

    def items(self, first: int, count: int) -> Items:
        return Items(first, tuple(self._held("item", number) for number in range(first, first + count)))

    def _find(self, kind: str, key: int) -> bytes | None:
        return next((row.body for row in self.rows if (row.kind, row.key) == (kind, key)), None)

    def _held(self, kind: str, key: int) -> bytes:
        body = self._find(kind, key)
        assert body is not None, "nobody asks for what there is not"
        return body


@dataclass(frozen=True, slots=True)
class Lie:
    """What is said at each place instead of what is true there; None: the truth."""

    welcome: Welcome | None = None
    """But for its connection id."""
    confirmation: bytes | None = None
    unasked: bytes = b""
    """Behind the confirmation; in the clear as soon as there is a connection."""
    answer: bytes | None = None
    """To the first request; to those after it, the truth."""
    is_endless: bool = False
    """The answer again and again, as fast as the line takes it."""
    handshake: bytes | None = None
    """All that is ever said in the channel: bytes, and no session comes of them."""
    makes_channel: bool = True
    """Else what should begin one is taken for a message, which it is not."""
    is_mute: bool = False
    """The session stands, and nothing is said in it."""


def welcome_of(state: LifecycleState, *, is_tampered: bool = False) -> Welcome:
    """What the terminal greets with; its connection id is filled in."""
    return Welcome(1, state, is_tampered, "Maker", "PD-1", SERIAL, features=Feature.PACKED_ITEMS)


class Rogue:
    """The terminal's end of one line."""

    def __init__(
        self,
        truth: Truth,
        state: LifecycleState,
        lie: Lie,
        own_end: Callable[[], Channel] | None = None,
        *,
        is_tampered: bool = False,
    ) -> None:
        """``own_end`` makes its end of a channel: by default that of one whom the agent lets in."""
        self._own_end = own_end or (lambda: StubChannel(site().technician_peer, server_side=True))
        self.asked: list[Request] = []
        self._truth = truth
        self._lie = lie
        self._confirmation = encode(Confirmed(state, is_tampered))
        self._true = welcome_of(state, is_tampered=is_tampered)
        self._handshake = lie.handshake
        self._makes_channel = lie.makes_channel and not is_tampered
        self._is_clear = False
        self._floods = False
        self._channel: Channel | None = None
        self._stack = Stack(Link.acceptor(self._welcome, NOW, line_rate_bytes_per_s=None), self._channel_for)

    def receive(self, data: bytes, now: float) -> None:
        self._stack.receive(data, now)
        self._turn()

    def tick(self, now: float) -> None:
        self._stack.tick(now)
        self._turn()

    def bytes_to_send(self, now: float) -> bytes:
        if self._floods and self._stack.is_ready:
            self._say(self._lie.answer or b"")
        return self._stack.bytes_to_send(now)

    def deadline(self) -> float | None:
        return self._stack.deadline()

    # --- private

    def _welcome(self, hello: Hello) -> Welcome:
        return replace(self._lie.welcome or self._true, connection_id=hello.connection_id)

    def _channel_for(self, hello: Welcome | Hello) -> Channel | None:
        assert isinstance(hello, Hello)
        self._is_clear = hello.service is not Service.CHANNEL
        if self._is_clear:
            self._channel = Bare(bytearray(b"" if self._lie.is_mute else self._lie.unasked))
        elif self._handshake is not None:
            self._channel = NoHandshake(bytearray(self._handshake))
        elif not self._makes_channel:
            return None
        else:
            self._channel = self._own_end()
        return self._channel

    def _turn(self) -> None:
        for event in self._stack.events():
            match event:
                case Opened() if self._channel is not None and not (self._is_clear or self._lie.is_mute):
                    said = self._lie.confirmation
                    self._say((self._confirmation if said is None else said) + self._lie.unasked)
                case Arrived(message) if isinstance(message, Request):
                    self.asked.append(message)
                    self._answer(message)
                case _:
                    pass

    def _answer(self, request: Request) -> None:
        if self._lie.is_mute:
            return
        if self._lie.answer is None or len(self.asked) > 1:
            self._say(encode(self._truth.answer(request)))
            return
        self._floods = self._lie.is_endless
        self._say(self._lie.answer)

    def _say(self, data: bytes) -> None:
        assert self._channel is not None
        self._channel.send(data)
