"""A cable between a terminal on TCP and a pseudo-terminal that can be pulled out, and is put in again at once.

Pulled out, the pseudo-terminal is closed under whoever has it open: he meets the end of the file and EIO, as with an
adapter that is gone. The next one is found under the same name. The terminal is not told. What was in between is lost.
A terminal that restarts takes the pseudo-terminal away, too.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import tty
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

READ_BYTES: Final = 512


class Plug:
    """Found at ``link``; pulled each time when so many bytes more than ``pulled_after`` says have gone by."""

    def __init__(
        self, link: Path, address: Callable[[], tuple[str, int]], pulled_after: Iterable[int]
    ) -> None:
        """``address`` waits until the terminal listens and says where; asked again after each of its restarts."""
        self._link = link
        self._address = address
        self._terminal = socket.create_connection(address())
        self._distances = iter(pulled_after)
        self._left = next(self._distances, None)
        self._end = os.pipe()
        self._to_agent = bytearray()
        self.pulled = 0
        self.carried_bytes = 0
        self._put_in()
        self._thread = threading.Thread(target=self._carry)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        os.write(self._end[1], b".")
        self._thread.join()
        for descriptor in (self._master, self._slave, *self._end):
            os.close(descriptor)
        self._terminal.close()

    def _put_in(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._to_agent.clear()
        self._link.symlink_to(os.ttyname(self._slave))

    def _pull(self) -> None:
        self._close()
        self.pulled += 1
        self._left = next(self._distances, None)
        self._put_in()

    def _take_away(self) -> None:
        self._close()
        self._terminal.close()
        self._terminal = socket.create_connection(self._address())
        self._put_in()

    def _close(self) -> None:
        self._link.unlink()
        os.close(self._slave)
        os.close(self._master)

    def _carry(self) -> None:
        end = self._end[0]
        while True:
            # what the agent has not taken yet holds up the terminal, as flow control would
            sources: list[int | socket.socket] = [end, self._master]
            sources += [] if self._to_agent else [self._terminal]
            ready, writable, _ = select.select(sources, [self._master] if self._to_agent else [], [])
            if end in ready:
                return
            if self._terminal in ready and not self._take_from_terminal():
                self._take_away()
                continue
            if writable:
                with contextlib.suppress(BlockingIOError):
                    del self._to_agent[: os.write(self._master, self._to_agent)]
            if self._master in ready:
                data = os.read(self._master, READ_BYTES)
                self._terminal.sendall(data[: self._count(len(data))])
            if self._left == 0:
                self._pull()

    def _take_from_terminal(self) -> bool:
        data = self._terminal.recv(READ_BYTES)
        self._to_agent += data[: self._count(len(data))]
        return bool(data)

    def _count(self, size: int) -> int:
        """How many of so many bytes still get through."""
        taken = size if self._left is None else min(size, self._left)
        self.carried_bytes += taken
        if self._left is not None:
            self._left -= taken
        return taken
