"""Which port, where none was named: the only USB port there is, or a question back. Never a guess."""

from __future__ import annotations

from .. import catalogue
from ..ports import PortInfo, candidates
from ..trouble import Trouble
from ..wording import N_


def only_port() -> str:
    """The device name of this machine's one USB serial port."""
    return only_one(candidates())


def only_one(found: list[PortInfo]) -> str:
    """`Trouble` unless exactly one of ``found`` hangs on USB: built-in ports hold modems, consoles, anything."""
    usb = [info for info in found if info.vid is not None]
    if not usb:
        raise Trouble(
            catalogue.NO_TERMINAL, port=N_("any USB port"), cause=N_("this machine has no USB serial port")
        )
    if len(usb) > 1:
        raise Trouble(catalogue.SEVERAL_CANDIDATES, count=len(usb))
    return usb[0].device
