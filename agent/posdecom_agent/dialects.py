"""How acquirers want a batch settled, as data: which messages, in which order, and what an answer means.

A `Dialect` is a table of phases over item kinds. The engine (settlement.py) walks it and knows no code, no field and
no message type; a new dialect is a new table here, with its own judge where answers speak differently.

Sources: UnionPay terminals' settlement flow for ``cup`` (0400, 0220, 0500 with totals in field 48, reply code per
card group, 0320, end of upload 207 or 202, 0820); for ``edc`` the flow of terminals in South-East Asia and the Middle
East (0500/920000 with sums in field 63; 95 asks for one 0320 per transaction and 0500/960000; no sign-off).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final, TypeAlias, assert_never

from posdecom_protocol.data_elements import CODE_APPROVED, CODE_DUPLICATE, CODE_UPLOAD, BatchTotals, Reply
from posdecom_protocol.errors import LocalError
from posdecom_protocol.iso8583 import IsoMessage
from posdecom_protocol.records import ItemKind


@dataclass(frozen=True, slots=True)
class Delivered:
    """The host has it: now, or (94) since an earlier time whose answer was lost."""

    balanced: bool | None = None
    """Of totals: whether both sides count the same; None where the answer does not say."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The host answered and will not have it. Kept with its code, listed, never sent again."""

    code: str
    """Field 39, two characters."""


Outcome: TypeAlias = Delivered | Refused

Judge: TypeAlias = Callable[[IsoMessage], Outcome]
"""What one answer means. Pure; `MessageError` where it is no answer at all."""


Original: TypeAlias = Callable[[IsoMessage], str | None]
"""STAN of the transaction that a message is about, which may be under way too. Pure."""

WINDOW: Final = 8
"""Of messages that stand on their own: over a host that is 50 ms away 8 bring 135 messages a second instead of 20
(benchmarks/settlement_window.py). All that is unanswered when a connection dies is said twice, and a host that takes
one message at a time on a connection needs 1 here."""


class Branch(Enum):
    """When a phase is part of the conversation."""

    ALWAYS = "always"
    BALANCED = "balanced"
    """Only where the totals were found equal."""
    NOT_BALANCED = "not balanced"


@dataclass(frozen=True, slots=True)
class Phase:
    """All items of one kind, in the order of their sequences."""

    kind: ItemKind
    mti: str
    """Of its messages; answers have it raised by ten."""
    judge: Judge
    branch: Branch = Branch.ALWAYS
    decides: bool = False
    """Its answer chooses the branch. Refused, the conversation cannot go on."""
    window: int = 1
    """How many of them may be under way at once, where none needs another to be there first..."""
    original: Original = lambda request: None
    """... but for the one that this names."""


@dataclass(frozen=True, slots=True)
class Dialect:
    name: str
    phases: tuple[Phase, ...]


def by_code(answer: IsoMessage) -> Outcome:
    """00, and 94 because the host has had exactly these bytes before: delivered."""
    code = answer.text(39)
    return Delivered() if code in (CODE_APPROVED, CODE_DUPLICATE) else Refused(code)


def by_reply_per_group(answer: IsoMessage) -> Outcome:
    """As `by_code`; balanced only if field 48 says so for both card groups. No field 48 says nothing."""
    outcome = by_code(answer)
    if isinstance(outcome, Refused) or 48 not in answer.fields:
        return outcome
    replies = BatchTotals.decode(answer.text(48)).replies
    return Delivered(balanced=all(reply is Reply.BALANCED for reply in replies))


def by_upload_demand(answer: IsoMessage) -> Outcome:
    """95: the sums differ, send everything. Approved: they are the same, and the batch is closed."""
    if answer.text(39) == CODE_UPLOAD:
        return Delivered(balanced=False)
    outcome = by_code(answer)
    return outcome if isinstance(outcome, Refused) else Delivered(balanced=True)


def by_field_61(request: IsoMessage) -> str | None:
    """An adjustment names its sale there, a refund what it gives back."""
    return request.text(61)[6:12] if 61 in request.fields else None


_BEFORE_TOTALS: Final = (
    Phase(ItemKind.REVERSAL, "0400", by_code),
    Phase(ItemKind.PREAUTH_VOID, "0400", by_code),
    Phase(ItemKind.ADVICE, "0220", by_code, window=WINDOW, original=by_field_61),
    Phase(ItemKind.REFUND, "0220", by_code, window=WINDOW, original=by_field_61),
)

CUP: Final = Dialect(
    "cup",
    (
        *_BEFORE_TOTALS,
        Phase(ItemKind.TOTALS, "0500", by_reply_per_group, decides=True),
        Phase(ItemKind.CHIP_PROOF, "0320", by_code, Branch.BALANCED, window=WINDOW),
        Phase(ItemKind.UPLOAD, "0320", by_code, Branch.NOT_BALANCED, window=WINDOW),
        Phase(ItemKind.CHIP_PROOF_UNBALANCED, "0320", by_code, Branch.NOT_BALANCED, window=WINDOW),
        Phase(ItemKind.END_BALANCED, "0320", by_code, Branch.BALANCED),
        Phase(ItemKind.END_UNBALANCED, "0320", by_code, Branch.NOT_BALANCED),
        Phase(ItemKind.SIGN_OFF, "0820", by_code),
    ),
)

EDC: Final = Dialect(
    "edc",
    (
        *_BEFORE_TOTALS,
        Phase(ItemKind.CHIP_PROOF, "0320", by_code, window=WINDOW),
        Phase(ItemKind.TOTALS, "0500", by_upload_demand, decides=True),
        Phase(ItemKind.UPLOAD, "0320", by_code, Branch.NOT_BALANCED, window=WINDOW),
        Phase(ItemKind.CLOSE, "0500", by_code, Branch.NOT_BALANCED),
    ),
)

DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType({CUP.name: CUP, EDC.name: EDC})
"""By the name that stands in the seal."""

_WORDS: Final = {
    "delivered": Delivered(),
    "balanced": Delivered(balanced=True),
    "not balanced": Delivered(balanced=False),
}


def encode_outcome(outcome: Outcome) -> bytes:
    """For the journal.

    >>> encode_outcome(Delivered(balanced=False)), encode_outcome(Refused("14"))
    (b'not balanced', b'refused 14')
    """
    match outcome:
        case Refused(code):
            return f"refused {code}".encode("ascii")
        case Delivered():
            return next(word for word, meant in _WORDS.items() if meant == outcome).encode("ascii")
        case _:
            assert_never(outcome)


def decode_outcome(data: bytes) -> Outcome:
    """Inverse of `encode_outcome`; `LocalError` on anything else."""
    text = data.decode("ascii", "replace")
    if text in _WORDS:
        return _WORDS[text]
    if text.startswith("refused ") and len(text) == 10 and text.isascii():
        return Refused(text[8:])
    raise LocalError("journal holds no outcome of a message")
