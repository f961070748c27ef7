"""Run a module of posdecom as a process that kills itself (SIGKILL) at one exact point, or finds its disk full there.

    killed.py journal STEP NTH before|after -- posdecom_agent retire ...
        at the NTH append to the journal within the agent's STEP (procedure.Step), before it or once it is durable
    killed.py memory STATE NTH before|after -- posdecom_simulator terminal ...
        at the NTH change of the terminal's memory in its lifecycle STATE
    killed.py line STATE NTH before|after -- posdecom_simulator terminal ...
        at the NTH write to the line in that STATE
    killed.py books KIND NTH before|after -- posdecom_simulator acquirer ...
        at the NTH time that the acquirer's books get rows of which the last is of KIND (acquirer/books.py)
    killed.py shelf DOCUMENT NTH before|after -- posdecom_simulator acquirer ...
        at the NTH document of that name that the desk has signed
    killed.py journal STEP NTH full -- posdecom_agent retire ...
        goes on, when the disk of its journal has been filled to the last byte by another file (FILLER)

A process that never gets there runs to its end.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILLER = "filler"


def fill(folder: Path) -> None:
    """Take all that is left of the disk that holds ``folder``."""
    with (folder / FILLER).open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(64 * 1024))


class Trap:
    """Counts calls in one phase and pulls the plug at one of them."""

    def __init__(self, phase: str, nth: int, when: str) -> None:
        self._phase = phase
        self._nth = nth
        self._when = when
        self._count = 0

    def around(self, call: Callable[..., Any], phase: Callable[..., str]) -> Callable[..., Any]:
        def trapped(*arguments: Any, **options: Any) -> Any:
            here = phase(*arguments) == self._phase
            self._count += here
            due = here and self._count == self._nth
            if due and self._when == "full":
                fill(Path(sys.argv[sys.argv.index("--journal") + 1]))
            if due and self._when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*arguments, **options)
            if due and self._when == "after":
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return trapped


def trap_journal(trap: Trap) -> None:
    from posdecom_agent import procedure
    from posdecom_agent.journal import SqliteJournal

    current = ["begin"]
    derive = procedure.next_step

    def next_step(job: Any) -> Any:
        step = derive(job)
        current[0] = step.value
        return step

    procedure.next_step = next_step
    SqliteJournal.append = trap.around(SqliteJournal.append, lambda *_: current[0])  # type: ignore[method-assign]


def state_of(store: Any) -> str:
    from posdecom_simulator.terminal import slots
    from posdecom_simulator.terminal.device import decode_life

    data = store.get(slots.STATE)
    return "NEW" if data is None else decode_life(data).state.name


def trap_memory(trap: Trap) -> None:
    from posdecom_simulator.terminal.hardware import HardwareStore

    for name in ("put", "erase", "sanitize"):
        setattr(
            HardwareStore, name, trap.around(getattr(HardwareStore, name), lambda store, *_: state_of(store))
        )


def trap_line(trap: Trap) -> None:
    from posdecom_simulator.terminal import serve
    from posdecom_simulator.terminal.faces import PtyFace

    stores: list[Any] = []
    serving = serve.serve

    def remembering(store: Any, *arguments: Any, **options: Any) -> None:
        stores.append(store)
        serving(store, *arguments, **options)

    from posdecom_simulator.commands import terminal

    vars(terminal)["serve"] = remembering
    PtyFace.write = trap.around(PtyFace.write, lambda *_: state_of(stores[0]))  # type: ignore[method-assign]


def trap_books(trap: Trap) -> None:
    from posdecom_simulator.acquirer.ledger import SqliteStore

    def kind(_: object, rows: Any) -> str:
        return rows[-1][0] if rows else ""

    SqliteStore.append = trap.around(SqliteStore.append, kind)  # type: ignore[method-assign]


def trap_shelf(trap: Trap) -> None:
    from posdecom_simulator.acquirer.serve import FolderShelf

    def document(_: object, name: str, __: bytes) -> str:
        return name.partition("-")[0]

    FolderShelf.put = trap.around(FolderShelf.put, document)  # type: ignore[method-assign]


TRAPS = {
    "journal": trap_journal,
    "memory": trap_memory,
    "line": trap_line,
    "books": trap_books,
    "shelf": trap_shelf,
}


def main() -> None:
    kind, phase, nth, when, dashes, module, *arguments = sys.argv[1:]
    assert dashes == "--"
    TRAPS[kind](Trap(phase, int(nth), when))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
