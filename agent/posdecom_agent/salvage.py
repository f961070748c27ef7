"""A terminal that was tampered with before anything froze it: what a person is told, and what they can still do."""

from __future__ import annotations

from posdecom_protocol.documents.salvage import Salvage
from posdecom_protocol.wording import N_

from . import catalogue
from .trouble import Trouble


def salvaged_trouble(serial: str, salvage: Salvage) -> Trouble:
    """The records are in custody, and this terminal can do no more. That it is tampered with comes first."""
    cause = N_(
        "TAMPERED before any order froze it; {count} records are in custody, unsigned{sums}",
        count=salvage.count,
        sums="".join(
            f"; {one.currency:03d}: +{one.debit.amount} ({one.debit.count}) -{one.credit.amount} ({one.credit.count})"
            for one in salvage.sums
        ),
    )
    return Trouble(catalogue.SALVAGED, serial=serial, cause=cause)
