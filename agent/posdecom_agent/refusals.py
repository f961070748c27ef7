"""A terminal's reasons to refuse, in a technician's words."""

from __future__ import annotations

from typing import Final

from posdecom_protocol.messages import Refusal

REFUSALS: Final[dict[Refusal, str]] = {
    Refusal.ISSUER_CHAIN: "the signer does not belong to the acquirer that this terminal trusts",
    Refusal.ROLE: "the signer's certificate does not carry the role for this document",
    Refusal.SIGNATURES: "a signature is missing, invalid, or not by two different keys",
    Refusal.TYPE_AND_VERSION: "it is not a document of the type and version that is needed",
    Refusal.TERMINAL: "it names another terminal",
    Refusal.ORDER: "it belongs to another order",
    Refusal.SEAL: "it does not agree with this terminal's seal and totals",
    Refusal.CHALLENGE: "it was made for an earlier freeze of this terminal",
    Refusal.ACTION: "the order does not allow the erase",
    Refusal.STATE: "the terminal is in another state than this needs",
    Refusal.ORDER_STALE: "the terminal has taken this or a later order before",
    Refusal.ORDER_NOT_VALID_NOW: "the order is not valid now by the terminal's clock",
    Refusal.ORDER_ACCOUNTS: "the order does not name every merchant and terminal number that it holds",
    Refusal.CLOCK_IMPLAUSIBLE: "the terminal's clock is before its own last transaction",
    Refusal.NOT_FOUND: "the terminal does not hold what was asked for",
    Refusal.BUSY: "a sale is still in progress",
    Refusal.TAMPERED: "the terminal was tampered with",
    Refusal.TOO_MUCH: "the terminal holds more than one seal can name",
}
