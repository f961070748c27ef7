"""Words of the closed sets (states, reasons, kinds): their names in the code, and those in the spoken language."""

from __future__ import annotations

from enum import Enum
from typing import Final

from ..wording import N_, _

# fmt: off
WORDS: Final = frozenset({
    # states of a terminal
    N_("active"), N_("frozen"), N_("settled"), N_("excepted"), N_("erasing"), N_("erased"), N_("retired"), N_("blank"),
    # an order: its reason, mode and rule for what was sold too late
    N_("closing"), N_("licence withdrawn"), N_("contract end"), N_("migration"), N_("fault"), N_("repair"), N_("lost"),
    N_("compromised"), N_("retire"), N_("redeploy"), N_("refund"), N_("hold"),
    # transactions and card groups
    N_("sale"), N_("void"), N_("offline sale"), N_("adjustment"), N_("preauth"), N_("completion"),
    N_("completion void"), N_("reversal"), N_("declined"), N_("domestic"), N_("foreign"),
    # why a receipt was signed
    N_("agreed"), N_("exception"),
    # files that a command leaves
    N_("trust"), N_("pdf"), N_("journal"), N_("acquirer"),
    # documents and who signs them
    N_("order"), N_("seal"), N_("receipt"), N_("receipt 1"), N_("receipt 2"), N_("evidence"), N_("certificate"),
    N_("closure"), N_("cancellation"), N_("release"), N_("approver"), N_("terminal"), N_("technician"),
})
# fmt: on


def plain_word(member: Enum) -> str:
    """``LICENCE_WITHDRAWN`` as ``licence withdrawn``: English, for programs."""
    return member.name.lower().replace("_", " ")


def word(member: Enum) -> str:
    """The same for people."""
    return _(plain_word(member))
