"""One question to one terminal: approach, ask once, take the answer of the one kind that fits. Sans-IO."""

from __future__ import annotations

from posdecom_protocol.certificates import Signer
from posdecom_protocol.greeting import Welcome
from posdecom_protocol.messages import Refusal, Refused, Reply, Request
from posdecom_protocol.stack import ChannelOver, LinkOver, Stack
from posdecom_protocol.wording import N_

from .approach import Access, Answered, Approach, Met, Over, Ready, Stranger


class Question:
    """Over when `is_over`: one of `reply`, `refusal`, `in_clear`, `stranger` and `cause` says how it ended."""

    def __init__(
        self,
        request: Request,
        answer: type[Reply],
        answer_s: float,
        access: Access,
        now: float,
        *,
        serial: str | None = None,
        line_rate_bytes_per_s: float | None = None,
    ) -> None:
        """``answer``: the reply that fits ``request``, due within ``answer_s``. ``serial``: None for any terminal."""
        self._approach = Approach(access, now, serial=serial, line_rate_bytes_per_s=line_rate_bytes_per_s)
        self._request = request
        self._answer = answer
        self._answer_s = answer_s
        self.welcome: Welcome | None = None
        self.reply: Reply | None = None
        self.refusal: Refusal | None = None
        self.in_clear = False
        """The terminal only serves proofs: it was asked nothing."""
        self.stranger: str | None = None
        """The serial of another terminal that is on the line."""
        self.cause: LinkOver | ChannelOver | None = None
        """Why there is no reply, where the line or the session ended, or no answer came."""
        self._answer_by: float | None = None
        self._is_asked = False
        self._over = False

    def receive(self, data: bytes, now: float) -> None:
        self._approach.receive(data, now)
        self._turn(now)

    def tick(self, now: float) -> None:
        self._approach.tick(now)
        self._turn(now)
        if self._answer_by is not None and now >= self._answer_by and not self._over:
            self.cause = ChannelOver(N_("the terminal does not answer"))
            self._finish(now)

    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes:
        if not self._over and not self._is_asked and self._approach.is_ready:
            self._is_asked = True
            self._approach.ask(self._request)
        return self._approach.bytes_to_send(now, room_bytes)

    def deadline(self) -> float | None:
        due = (self._approach.deadline(), self._answer_by)
        return min((at for at in due if at is not None), default=None)

    @property
    def peer(self) -> Signer | None:
        """Who the channel proved the terminal to be."""
        return self._approach.peer

    @property
    def stack(self) -> Stack:
        return self._approach.stack

    @property
    def is_over(self) -> bool:
        return self._over

    # --- private -----------------------------------------------------------------------------------

    def _turn(self, now: float) -> None:
        for event in self._approach.events():
            if self._over:
                return
            match event:
                case Met(welcome):
                    self.welcome = welcome
                case Ready(in_clear=True):
                    self.in_clear = True
                    self._finish(now)
                case Ready():  # asked when it is sent: the session may be over again already, which comes next
                    self._answer_by = now + self._answer_s
                case Answered(Refused(reason)) if self._is_asked:
                    self.refusal = reason
                    self._finish(now)
                case Answered(reply) if self._is_asked and isinstance(reply, self._answer):
                    self.reply = reply
                    self._finish(now)
                case Answered():
                    self.cause = ChannelOver(N_("the terminal sent a message out of place"))
                    self._finish(now)
                case Stranger(serial):
                    self.stranger = serial
                    self._finish(now)
                case Over(cause):
                    self.cause = cause
                    self._finish(now)

    def _finish(self, now: float) -> None:
        self._over = True
        self._answer_by = None
        self._approach.close(now)
