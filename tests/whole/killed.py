"""Run a module of posdecom as a process that kills itself (SIGKILL) at one exact point.

    killed.py journal STEP NTH before|after -- posdecom_agent retire ...
        at the NTH append to the journal within the agent's STEP (procedure.Step), before it or once it is durable
    killed.py memory STATE NTH before|after -- posdecom_simulator terminal ...
        at the NTH change of the terminal's memory in its lifecycle STATE
    killed.py line STATE NTH before|after -- posdecom_simulator terminal ...
        at the NTH write to the line in that STATE

A process that never gets there runs to its end.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from collections.abc import Callable
from typing import Any


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
            if due and self._when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*arguments, **options)
            if due:
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


TRAPS = {"journal": trap_journal, "memory": trap_memory, "line": trap_line}


def main() -> None:
    kind, phase, nth, when, dashes, module, *arguments = sys.argv[1:]
    assert dashes == "--"
    TRAPS[kind](Trap(phase, int(nth), when))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
