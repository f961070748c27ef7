"""The verdict's sentences as people read them: accounts by name, amounts with their currency, points by their label.

The verdict itself knows accounts by number, counts minor units, and names points by their keys: it is pure, and stands
in a package that knows neither ISO 4217 nor the case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from posdecom_protocol.documents.seal import SealedContext
from posdecom_protocol.wording import Text

from .case.checklist import label_of
from .case.kinds import Words
from .case.money import amount_text
from .wording import N_, said

_CONTEXT: Final = "context {index}, currency {currency:03d}"
_AMOUNT: Final = "{count} transactions ({amount} in minor units)"
_OPEN: Final = "open: {what}"
_KEPT: Final = "kept: {what} ({why})"
KNOWN_KEPT: Final = frozenset({
    N_("order, seal, receipt, evidence"),
    N_("the proofs are served again for ever"),
    N_("make, model, serial and device certificates"),
    N_("public, and they name the device in its proofs"),
})  # fmt: skip
"""What terminals are known to say of what they keep. Whatever else one says is shown as it said it."""


def sentence(text: str, contexts: Sequence[SealedContext]) -> Words:
    """A finding's ``text`` in both languages. ``contexts``: the seal's; empty where there is none."""
    if not isinstance(text, Text):
        return Words(text, said(text, "zh"))
    point = text.parameters.get("what")
    if text.template == _OPEN and isinstance(point, str) and not isinstance(point, Text):
        label = label_of(point)
        return Words(str(N_(_OPEN, what=label.en)), said(N_(_OPEN, what=label.zh), "zh"))
    if text.template == _KEPT:
        text = N_(_KEPT, **{name: N_(str(value)) for name, value in text.parameters.items()})
    reworded = _reworded(text, contexts, None)
    return Words(str(reworded), said(reworded, "zh"))


def _reworded(text: Text, contexts: Sequence[SealedContext], currency: int | None) -> Text:
    """A sentence of any other form than those above stays as it is."""
    found = text.parameters
    if text.template == _CONTEXT and contexts:
        account = contexts[_number(found, "index")]
        return N_(
            "account {mid} {tid}, batch {batch}",
            mid=account.mid,
            tid=account.tid,
            batch=f"{account.batch:06d}",
        )
    if text.template == _AMOUNT and currency is not None:
        amount = amount_text(_number(found, "amount"), currency)
        return N_("{count} transactions, {amount}", count=found["count"], amount=amount)
    inner = [value.parameters for value in found.values() if isinstance(value, Text)]
    currency = next((_number(one, "currency") for one in (found, *inner) if "currency" in one), currency)
    parts = {
        name: _reworded(value, contexts, currency) if isinstance(value, Text) else value
        for name, value in found.items()
    }
    return N_(text.template, **parts)


def _number(parameters: Mapping[str, object], name: str) -> int:
    value = parameters[name]
    assert isinstance(value, int)
    return value
