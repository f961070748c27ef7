"""``posdecom retire --absent``: certify that the terminal could not be reached, and have the acquirer close that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..absent import declare_absent
from ..procedure import Step, carry_out
from ..stations import OfficeStations
from ..wording import N_
from . import finish
from .confirmation import Given, confirm
from .output import Output
from .progress import Teller
from .retire import begun

if TYPE_CHECKING:
    from posdecom_protocol.documents import Signed
    from posdecom_protocol.documents.order import Order

    from ..plan import Plan
    from ..site import TechnicianSite
    from ..stations import JudgedDesk

CONSEQUENCE: Final = N_(
    "This certifies that the terminal was not reached, for the acquirer to revoke its keys."
)


@dataclass(frozen=True, slots=True)
class Absence:
    """Who certifies it, under which order, and where to."""

    site: TechnicianSite
    order: Signed[Order]
    desk: JudgedDesk | None
    journal_folder: Path
    out_folder: Path


def retire_absent(output: Output, absence: Absence, confirm_serial: str | None) -> int:
    """Certify, have it closed where the desk is reached, and leave the files. Run again, it continues."""
    order = absence.order
    confirm(order.body, Given(confirm_serial, None), CONSEQUENCE, _no_plan, begun=True)
    with begun(output, absence.journal_folder, order) as job:
        declare_absent(job)
        stations = OfficeStations(None, absence.desk, site=absence.site)
        teller = Teller(output, job, stations.clock)
        carry_out(job, stations, teller.tell, Step.CERTIFY if absence.desk is None else Step.CLOSE)
        return finish.deliver(output, job, absence.site.anchors, absence.out_folder)


def _no_plan() -> Plan:
    raise AssertionError("there is no terminal to look at")
