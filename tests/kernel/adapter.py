"""The cable between the emulated adapter (TCP) and the simulated terminal (a PTY), pulled out in the middle."""

from __future__ import annotations

import selectors
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path

import serial

CHUNK_BYTES = 4096
REOPEN_S = 0.1
"""A terminal that restarts takes its PTY with it; an adapter stays plugged in meanwhile."""


@dataclass
class Adapter:
    """A context manager. ``pull_after``: after so many bytes from the terminal the cable is pulled, once for each."""

    tty: Path
    pull_after: list[int]
    pulled: int = 0
    _listener: socket.socket = field(init=False)
    _ended: threading.Event = field(init=False, default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> Adapter:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._listener.close()

    @property
    def port(self) -> int:
        port = self._listener.getsockname()[1]
        assert isinstance(port, int)
        return port

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                guest, _ = self._listener.accept()
            except TimeoutError:
                continue
            with guest:
                while not self._ended.is_set() and self._carry(guest):
                    self._ended.wait(REOPEN_S)

    def _carry(self, guest: socket.socket) -> bool:
        """Both ways until the cable is pulled or the guest gone (False), or the terminal restarts (True)."""
        try:
            with serial.Serial(str(self.tty), timeout=0) as terminal:
                self._carry_between(guest, terminal)
        except serial.SerialException:
            return True
        return False

    def _carry_between(self, guest: socket.socket, terminal: serial.Serial) -> None:
        left = self.pull_after[self.pulled] if self.pulled < len(self.pull_after) else None
        with selectors.DefaultSelector() as selector:
            selector.register(guest, selectors.EVENT_READ)
            selector.register(terminal, selectors.EVENT_READ)
            while not self._ended.is_set():
                for key, _ in selector.select(timeout=0.2):
                    if key.fileobj is guest:
                        data = guest.recv(CHUNK_BYTES)
                        if not data:
                            return
                        terminal.write(data)
                        continue
                    data = terminal.read(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES))
                    guest.sendall(data)
                    if left is not None and (left := left - len(data)) == 0:
                        self.pulled += 1
                        return
