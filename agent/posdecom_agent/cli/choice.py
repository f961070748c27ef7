"""Which port: the one that was named, else the only one that it can be, else a table and exit 12. Never a guess.

Found are USB ports with a known adapter (`adapters.KNOWN_ADAPTERS`), by what the system says about them, without a byte
to any. ``--select`` picks by adapter serial, USB path or device name; where none of these fits it is a terminal's
serial, and only then the known adapters are greeted, one after the other, to hear who answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .. import catalogue
from ..adapters import likely, selected
from ..ports import PortInfo, candidates
from ..survey import who_answers
from ..trouble import Trouble
from ..wording import N_
from .output import Output
from .ports import port_table

Who = Callable[[str], str | None]
"""The serial of the terminal on a port, None where none answers."""


def find_port(output: Output, port_url: str | None, select: str | None) -> str:
    """The port to use. `Trouble` where there is none, and where there is more than one."""
    if port_url is not None:
        return port_url
    found = candidates()
    chosen = only_one(found) if select is None else picked(found, select, _serial_on)
    return _one_of(output, chosen)


def only_one(found: Sequence[PortInfo]) -> list[PortInfo]:
    """What of ``found`` may be a terminal: built-in ports and unknown adapters may be anything else."""
    known = likely(found)
    if not known and any(info.vid is not None for info in found):
        raise Trouble(
            catalogue.NO_TERMINAL,
            port=N_("any USB port"),
            cause=N_("no known adapter; a port with another USB id is used only when --port names it"),
        )
    return known


def picked(found: Sequence[PortInfo], wanted: str, who: Who) -> list[PortInfo]:
    """What of ``found`` is meant by ``wanted``; known adapters are greeted only where nothing else fits."""
    passive = selected(found, wanted)
    return passive or [info for info in likely(found) if who(info.device) == wanted]


def _one_of(output: Output, chosen: Sequence[PortInfo]) -> str:
    if not chosen:
        cause = N_("no USB serial port answers to that: no power, or a charge-only cable")
        raise Trouble(catalogue.NO_TERMINAL, port=N_("any USB port"), cause=cause)
    if len(chosen) > 1:
        output.say(port_table(chosen))
        raise Trouble(catalogue.SEVERAL_CANDIDATES, count=len(chosen))
    return chosen[0].device


def _serial_on(device: str) -> str | None:
    from ..line import WallClock
    from ..serial_line import SerialLine

    welcome = who_answers(SerialLine(device), WallClock())
    return None if welcome is None else welcome.serial
