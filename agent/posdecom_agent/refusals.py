"""A terminal's reasons to refuse, in a technician's words."""

from __future__ import annotations

from typing import Final

from posdecom_protocol.messages import Refusal
from posdecom_protocol.wording import N_

REFUSALS: Final[dict[Refusal, str]] = {
    Refusal.ISSUER_CHAIN: N_("the signer does not belong to the acquirer that this terminal trusts"),
    Refusal.ROLE: N_("the signer's certificate does not carry the role for this document"),
    Refusal.SIGNATURES: N_("a signature is missing, invalid, or not by two different keys"),
    Refusal.TYPE_AND_VERSION: N_("it is not a document of the type and version that is needed"),
    Refusal.TERMINAL: N_("it names another terminal"),
    Refusal.ORDER: N_("it belongs to another order"),
    Refusal.SEAL: N_("it does not agree with this terminal's seal and totals"),
    Refusal.CHALLENGE: N_("it was made for an earlier freeze of this terminal"),
    Refusal.ACTION: N_("the order does not allow the erase"),
    Refusal.STATE: N_("the terminal is in another state than this needs"),
    Refusal.ORDER_STALE: N_("the terminal has taken this or a later order before"),
    Refusal.ORDER_NOT_VALID_NOW: N_("the order is not valid now by the terminal's clock"),
    Refusal.ORDER_ACCOUNTS: N_("the order does not name every merchant and terminal number that it holds"),
    Refusal.CLOCK_IMPLAUSIBLE: N_("the terminal's clock is before its own last transaction"),
    Refusal.NOT_FOUND: N_("the terminal does not hold what was asked for"),
    Refusal.BUSY: N_("a sale is still in progress"),
    Refusal.TAMPERED: N_("the terminal was tampered with"),
    Refusal.TOO_MUCH: N_("the terminal holds more than one seal can name"),
    Refusal.NO_ROOM: N_("its memory has no room left for what this needs"),
    Refusal.NO_KEYS: N_(
        "its key set has too few keys left for the messages that a freeze prepares; load new keys"
    ),
}
