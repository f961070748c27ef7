"""The agent's machine: a process that dies, and a disk that keeps of its journal what a disk keeps."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from posdecom_agent.journal import Row, SqliteJournal
from posdecom_simulator.world.faults import Fate, Fault

from .disk import Connection, Disk, Survivors, Trouble

DISK_BYTES: Final = 1 << 40
JOURNAL: Final = "journal"

_KILLS: Final = {
    Fault.KILL_UNSYNCED_LOST: Survivors.NONE,
    Fault.KILL_UNSYNCED_KEPT: Survivors.ALL,
    Fault.KILL_UNSYNCED_SHUFFLED: Survivors.SHUFFLED,
}
_ERRORS: Final = {Fault.DISK_EIO: Trouble.EIO, Fault.DISK_ENOSPC: Trouble.ENOSPC}


class AgentKilled(Exception):
    """The agent's process is gone. Nothing in the product catches it."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on while the agent writes."""

    before: Callable[[Sequence[Row]], None]
    """These rows are about to be written."""
    after: Callable[[Sequence[Row]], None]
    """They were acknowledged."""
    opened: Callable[[Sequence[Row], Sequence[Row], Sequence[Row]], None]
    """A journal was opened: rows acknowledged before, rows under way when the process died, rows found."""


class Laptop:
    """What of the agent survives the agent."""

    def __init__(self, fate: Fate, watch: Watch) -> None:
        self._fate = fate
        self._watch = watch
        self._files: dict[str, bytes] = {}
        self._acknowledged: list[Row] = []
        self._under_way: tuple[Row, ...] = ()

    @contextmanager
    def journal(self) -> Iterator[SqliteJournal]:
        """The journal, for one life of the agent's process. `AgentKilled` where that ends in a call of the disk."""
        disk = Disk(self._files, self._trouble, self._fate.plan.luck)
        journal: _Journal | None = None
        try:
            journal = _Journal.over(Connection(disk, JOURNAL, AgentKilled), self._free_bytes)
            self._look(journal)
            journal.laptop = self
            yield journal
            journal.close()
        finally:
            self._files = self._left(disk)
            disk.before = lambda call: None
            if journal is not None:
                journal.close()

    def disk(self) -> bytes:
        """Every byte that its files hold, between two lives of the agent."""
        return b"".join(self._files.values())

    def lose_rows(self, share: float) -> None:
        """The folder is restored from an older copy, of which ``share`` of the rows had been written."""
        kept = self._acknowledged[: int(len(self._acknowledged) * share)]
        disk = Disk()
        journal = SqliteJournal.over(Connection(disk, JOURNAL, AgentKilled), lambda: DISK_BYTES)
        journal.append(kept)
        journal.close()
        self._files = disk.left(Survivors.NONE, random.Random(0))
        self._acknowledged, self._under_way = kept, ()

    def append(self, rows: Sequence[Row], commit: Callable[[], None]) -> None:
        """``rows`` by ``commit``, unless the process dies before or after it."""
        self._watch.before(rows)
        self._under_way = tuple(rows)
        if self._fate.strikes(Fault.KILL_BEFORE):
            raise AgentKilled
        commit()
        self._acknowledged += rows
        self._under_way = ()
        self._watch.after(rows)
        if self._fate.strikes(Fault.KILL_AFTER):
            raise AgentKilled

    # --- private

    def _look(self, journal: SqliteJournal) -> None:
        found = list(journal.rows())
        self._watch.opened(self._acknowledged, self._under_way, found)
        self._acknowledged, self._under_way = found, ()

    def _left(self, disk: Disk) -> dict[str, bytes]:
        """Of a machine that goes on running everything; of one that lost its power what its fate says."""
        if disk.killed_with:
            return disk.killed_with[self._killed_as]
        return disk.left(Survivors.ALL, random.Random(0))

    def _trouble(self, call: str) -> Trouble | None:
        for fault, survivors in _KILLS.items():
            if self._fate.strikes(fault):
                self._killed_as = survivors
                return Trouble.KILL
        found = [trouble for fault, trouble in _ERRORS.items() if self._fate.strikes(fault)]
        if call == "write" and self._fate.strikes(Fault.DISK_SHORT_WRITE):
            found.append(Trouble.SHORT_WRITE)
        return next(iter(found), None)

    def _free_bytes(self) -> int:
        return 0 if self._fate.strikes(Fault.DISK_FULL) else DISK_BYTES


class _Journal(SqliteJournal):
    """The real one; its process may die around each append."""

    laptop: Laptop | None = None

    def append(self, rows: Sequence[Row]) -> None:
        assert self.laptop is not None
        self.laptop.append(rows, lambda: SqliteJournal.append(self, rows))
