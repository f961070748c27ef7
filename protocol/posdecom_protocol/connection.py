"""What belongs to one connection id of a link, and ends with it."""

from __future__ import annotations

from dataclasses import dataclass

from .stream_receiver import StreamReceiver
from .stream_sender import StreamSender


@dataclass(slots=True)
class Connection:
    connection_id: int
    greeting: bytes
    """Body of this end's own; the acceptor repeats it."""
    sender: StreamSender
    receiver: StreamReceiver
    last_heard: float
