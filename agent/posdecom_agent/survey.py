"""Looks at terminals over real ports: the whole look of `look`, or only who answers. Neither changes anything."""

from __future__ import annotations

import os
from typing import Final

from posdecom_protocol.channel import client_context
from posdecom_protocol.greeting import Hello, Service, Welcome
from posdecom_protocol.link import Link
from posdecom_protocol.link_events import CloseReason
from posdecom_protocol.stack import ChannelOver, Greeted, LinkOver, Lost, Stack

from . import catalogue
from .approach import Access
from .line import Clock, drive
from .look import Look
from .port_access import PortError
from .ports import open_port
from .serial_line import SerialLine
from .site import TechnicianSite
from .trouble import Trouble

GREETING_S: Final = 3.0
"""A terminal answers the greeting at once; what is none may stay silent, and the next port waits."""


def access_of(site: TechnicianSite) -> Access:
    """What lets the technician of ``site`` into terminals."""
    context = client_context(str(site.chain_path), str(site.key_path), site.anchors)
    return Access.by_tls(context, site.anchors, os.urandom)


def look_at(line: SerialLine, access: Access, clock: Clock) -> Look:
    """A look that has met a terminal; `Trouble` where there is none or where it could not be asked."""
    port_url = line.url
    port = open_port(port_url, line.baud)
    try:
        look = Look(access, clock.now(), line_rate_bytes_per_s=line.rate_bytes_per_s)
        drive(look, port, clock)
    finally:
        port.close()
    if look.welcome is None:
        raise _cut_off(port_url, LinkOver(CloseReason.NO_ANSWER))
    if look.cause is not None:
        raise _cut_off(port_url, look.cause)
    return look


def _cut_off(port_url: str, cause: LinkOver | ChannelOver) -> Trouble:
    """The words are a job's, and half as much again to import as the rest: only where something went wrong."""
    from .procedure import ENDS

    match cause:
        case LinkOver(CloseReason.NO_ANSWER as reason):
            return Trouble(catalogue.NO_TERMINAL, port=port_url, cause=ENDS[reason])
        case LinkOver(reason):
            return Trouble(catalogue.LINK_LOST, port=port_url, cause=ENDS[reason])
        case ChannelOver(words):
            return Trouble(catalogue.PEER_REFUSED, cause=words)


def who_answers(line: SerialLine, clock: Clock) -> Welcome | None:
    """The greeting of the terminal on a port; None where nobody greets, or the port cannot be used."""
    try:
        port = open_port(line.url, line.baud)
    except PortError:
        return None
    try:
        greeting = _Greeting(clock.now(), line.rate_bytes_per_s)
        drive(greeting, port, clock)
    except PortError:
        return None
    finally:
        port.close()
    return greeting.welcome


class _Greeting:
    """A connection that wants nothing but the greeting. A `line.Machine`."""

    def __init__(self, now: float, rate_bytes_per_s: float | None) -> None:
        connection_id = int.from_bytes(os.urandom(4), "big") or 1
        hello = Hello(connection_id, Service.IDENTIFY)
        link = Link.initiator(hello, now, line_rate_bytes_per_s=rate_bytes_per_s)
        self.stack = Stack(link, lambda _welcome: None)
        self.welcome: Welcome | None = None
        self.is_over = False
        self._give_up_at = now + GREETING_S

    def receive(self, data: bytes, now: float) -> None:
        self.stack.receive(data, now)
        self._turn(now)

    def tick(self, now: float) -> None:
        self.stack.tick(now)
        self._turn(now)

    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes:
        return self.stack.bytes_to_send(now, room_bytes)

    def deadline(self) -> float | None:
        due = self.stack.deadline()
        return self._give_up_at if due is None else min(due, self._give_up_at)

    def _turn(self, now: float) -> None:
        for event in self.stack.events():
            match event:
                case Greeted(Welcome() as welcome):
                    self.welcome = welcome
                    self._finish(now)
                case Lost():
                    self._finish(now)
        if now >= self._give_up_at and not self.is_over:
            self._finish(now)

    def _finish(self, now: float) -> None:
        self.is_over = True
        self.stack.close(now)
