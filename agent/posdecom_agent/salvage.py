"""A terminal that a tamper has robbed of its keys: what a person is told, and what they can still do."""

from __future__ import annotations

from posdecom_protocol.money import Tally
from posdecom_protocol.wording import N_

from . import catalogue
from .case.money import amount_text
from .job import Job
from .trouble import Trouble


def tampered_trouble(job: Job) -> Trouble:
    """What it had is in custody, or settled already, and this terminal can do no more. That comes first."""
    salvage = job.salvage
    cause = N_("TAMPERED after an order froze it; the acquirer has signed for its money")
    if salvage is not None and job.seal is None:
        cause = N_(
            "TAMPERED before any order froze it; {count} records are in custody, unsigned{sums}",
            count=salvage.count,
            sums="".join(
                f"; {_sum(one.debit, one.currency)} - {_sum(one.credit, one.currency)}"
                for one in salvage.sums
            ),
        )
    return Trouble(catalogue.SALVAGED, serial=job.order.body.serial, cause=cause)


def _sum(tally: Tally, currency: int) -> str:
    """Debits, then what is taken off them; each with how many."""
    return f"{amount_text(tally.amount, currency)} ({tally.count})"
