"""A terminal that was tampered with before anything froze it: what a person is told, and what they can still do."""

from __future__ import annotations

from posdecom_protocol.documents.salvage import Salvage
from posdecom_protocol.money import Tally
from posdecom_protocol.wording import N_

from . import catalogue
from .case.money import amount_text
from .trouble import Trouble


def salvaged_trouble(serial: str, salvage: Salvage) -> Trouble:
    """The records are in custody, and this terminal can do no more. That it is tampered with comes first."""
    cause = N_(
        "TAMPERED before any order froze it; {count} records are in custody, unsigned{sums}",
        count=salvage.count,
        sums="".join(
            f"; {_sum(one.debit, one.currency)} - {_sum(one.credit, one.currency)}" for one in salvage.sums
        ),
    )
    return Trouble(catalogue.SALVAGED, serial=serial, cause=cause)


def _sum(tally: Tally, currency: int) -> str:
    """Debits, then what is taken off them; each with how many."""
    return f"{amount_text(tally.amount, currency)} ({tally.count})"
