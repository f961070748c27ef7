"""Held money is listed from what the acquirer signed, closed by what people state, and changes no state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from document_chain import ANCHORS, DAY, HANDS, NOW, Documents, Script, write_chain
from posdecom_protocol.chain import check_supersedes
from posdecom_protocol.cose import SigningKey, digest
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.certificate import CasePoint, Certificate, Standing, State
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.documents.receipt import Receipt
from posdecom_protocol.documents.remedy import Held, Means, Remedy
from posdecom_protocol.documents.salvage import Salvage
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.held import held_items
from posdecom_protocol.money import Tally
from posdecom_protocol.verdict import Area, Weight, judge, judge_succession, split

REMEDY = Remedy(Held.SOLD_LATE, 0, Tally(1, 900), Means.RETURNED, "B. Clerk", NOW + DAY, "bank case 17")


def with_held(body: Receipt) -> Receipt:
    (context,) = body.contexts
    return replace(body, contexts=(replace(context, withheld=Tally(1, 400), held=Tally(2, 2000)),))


def with_remedies(*remedies: Remedy) -> Documents:
    return write_chain(Script(receipt=with_held, certificate=lambda body: replace(body, remedies=remedies)))


def lines(documents: Documents) -> list[str]:
    findings = judge(documents.file, ANCHORS).findings
    assert {one.weight for one in findings if one.area is Area.HELD} <= {Weight.NOTE}
    return [one.text for one in findings if one.area is Area.HELD]


def test_what_the_receipt_lists_is_open_until_somebody_states_a_remedy() -> None:
    assert lines(with_remedies()) == [
        "context 0, currency 156: 1 transactions (400 in minor units) sold offline after the cut-off, nobody charged",
        "context 0, currency 156: open: 1 transactions (400 in minor units)",
        (
            "context 0, currency 156: 2 transactions (2000 in minor units) sold online after the cut-off, "
            "settled all the same"
        ),
        "context 0, currency 156: open: 2 transactions (2000 in minor units)",
    ]


def test_a_remedy_is_told_with_who_when_and_where_and_leaves_the_rest_open() -> None:
    assert lines(with_remedies(REMEDY))[3:] == [
        (
            "context 0, currency 156: 1 transactions (900 in minor units) returned by the bank, "
            "as B. Clerk stated on 2027-01-16, reference bank case 17"
        ),
        "context 0, currency 156: open: 1 transactions (1100 in minor units)",
    ]


def test_what_is_closed_in_full_is_open_no_more() -> None:
    rest = replace(REMEDY, tally=Tally(1, 1100), means=Means.AGREED, agreed_for=NOW + 9 * DAY)
    (withheld, late) = judge(with_remedies(REMEDY, rest).file, ANCHORS).held
    assert (withheld.open, late.open) == (Tally(1, 400), Tally())
    assert "agreed with the customer for 2027-01-24" in lines(with_remedies(REMEDY, rest))[4]


def test_a_remedy_closes_what_its_own_context_holds_and_nothing_of_another() -> None:
    receipt = open_document(FIRST.receipts[0], Receipt).body
    (context,) = receipt.contexts
    both = replace(receipt, contexts=(context, replace(context, index=1, currency=344)))
    items = held_items(both, (REMEDY, replace(REMEDY, context=1, tally=Tally(1, 100))))
    assert [(one.context, one.currency, one.held, one.open) for one in items] == [
        (0, 156, Held.WITHHELD, Tally(1, 400)),
        (0, 156, Held.SOLD_LATE, Tally(1, 1100)),
        (1, 344, Held.WITHHELD, Tally(1, 400)),
        (1, 344, Held.SOLD_LATE, Tally(1, 1900)),
    ]


@pytest.mark.parametrize("remedies", [(), (REMEDY,)], ids=["open", "closed"])
def test_held_money_changes_no_state_and_withheld_money_stays_an_exception(
    remedies: tuple[Remedy, ...],
) -> None:
    def only_held(body: Receipt) -> Receipt:
        (context,) = body.contexts
        return replace(body, contexts=(replace(context, held=Tally(1, 900)),))

    closed = replace(REMEDY, held=Held.WITHHELD, tally=Tally(1, 400))
    assert judge(with_remedies(closed).file, ANCHORS).state is State.EXCEPTIONS
    chain = write_chain(Script(receipt=only_held, certificate=lambda body: replace(body, remedies=remedies)))
    assert judge(chain.file, ANCHORS).state is State.COMPLETE


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tally": Tally(3, 2000)}, "close more than is held"),
        ({"tally": Tally(1, 2001)}, "close more than is held"),
        ({"tally": Tally(2, 1999)}, "close more than is held"),
        ({"tally": Tally(0, 0)}, "close nothing"),
        ({"context": 1}, "context 1, which the receipt does not have"),
        ({"means": Means.AGREED}, "a date exactly where"),
        ({"agreed_for": NOW}, "a date exactly where"),
        ({"held": Held.WITHHELD}, "close more than is held"),
    ],
)
def test_a_remedy_that_does_not_fit_the_receipt_makes_the_certificate_invalid(
    change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DocumentError, match=reason):
        judge(with_remedies(replace(REMEDY, **change)).file, ANCHORS)


def test_remedies_without_a_receipt_are_refused() -> None:
    script = Script(
        certificate=lambda body: replace(
            body, receipts=(), evidence=None, remedies=(REMEDY,), stated=State.UNATTESTED
        )
    )
    with pytest.raises(DocumentError, match="without a receipt"):
        judge(write_chain(script).certificate, ANCHORS)


def test_what_is_said_about_refunds_is_told_and_the_acquirers_count_decides() -> None:
    said = replace(REMEDY, held=Held.REFUND, tally=Tally(5, 1))
    script = Script(
        certificate=lambda body: replace(body, remedies=(said,)),
        closure=lambda body: replace(body, refunds_open=1),
    )
    verdict = judge(write_chain(script).file, ANCHORS)
    assert verdict.state is State.EXCEPTIONS
    texts = {one.text for one in verdict.findings if one.area is Area.CLOSURE}
    assert "1 refunds not yet closed" in texts
    assert any("5 transactions (1 in minor units) returned by the bank" in text for text in texts)


# --- a later certificate -------------------------------------------------------------------------

FIRST = with_remedies(REMEDY)


def body_of(data: bytes) -> Certificate:
    return open_document(data, Certificate).body


def successor(older: bytes, *, hand: SigningKey = HANDS.technician, **changes: Any) -> bytes:
    """A file: the next certificate over ``older`` and its own closure."""
    whole = {"supersedes": digest(older), "issued_at": body_of(older).issued_at + 60, **changes}
    newer = issue(replace(body_of(older), **whole), hand)
    before = open_document(FIRST.closure, Closure).body
    closed_at = body_of(newer).issued_at + 60
    return newer + issue(
        replace(before, certificate_digest=digest(newer), closed_at=closed_at), HANDS.closure
    )


def certificate_of(file: bytes) -> bytes:
    return split(file)[0]


def test_a_line_of_certificates_is_read_oldest_first_and_the_newest_has_the_open_list() -> None:
    more = replace(REMEDY, held=Held.WITHHELD, tally=Tally(1, 400), means=Means.CHARGED_AGAIN)
    second = successor(FIRST.certificate, remedies=(REMEDY, more))
    done = CasePoint("form signed", Standing.STATED, "")
    third = successor(certificate_of(second), case=(done,))
    verdicts = judge_succession([second, FIRST.file, third], ANCHORS)
    assert [one.certificate.data for one in verdicts] == [
        FIRST.certificate,
        certificate_of(second),
        certificate_of(third),
    ]
    assert [one.open for one in verdicts[-1].held] == [Tally(), Tally(1, 1100)]
    assert verdicts[-1].certificate.body.case == (done,)


def test_a_successor_can_be_read_alone() -> None:
    (verdict,) = judge_succession([successor(FIRST.certificate)], ANCHORS)
    assert verdict.supersedes == digest(FIRST.certificate)
    assert verdict.state is State.EXCEPTIONS


def test_a_successor_goes_on_from_the_certificate_that_it_names_and_from_no_other() -> None:
    newer = body_of(certificate_of(successor(FIRST.certificate)))
    check_supersedes(newer, open_document(FIRST.certificate, Certificate))
    twin = issue(replace(body_of(FIRST.certificate), certificate_id="C-2"), HANDS.technician)
    with pytest.raises(DocumentError, match=r"certificate\.supersedes: names another certificate"):
        check_supersedes(newer, open_document(twin, Certificate))


@pytest.mark.parametrize(
    ("name", "value"),
    [("serial", "OTHER-1"), ("revoke", (bytes(8),)), ("salvage", Salvage(0, bytes(32), ()))],
)
def test_a_successor_says_the_same_of_the_terminal_its_keys_and_its_records(name: str, value: Any) -> None:
    """Whatever else is wrong with a certificate that says so of a terminal with a seal: judged here alone."""
    older = open_document(FIRST.certificate, Certificate)
    newer = replace(older.body, supersedes=older.digest, **{name: value})
    with pytest.raises(DocumentError, match=rf"certificate\.{name}: differs from the certificate"):
        check_supersedes(newer, older)


OTHER = write_chain(
    Script(
        order=lambda body: replace(body, counter=8),
        receipt=with_held,
        certificate=lambda body: replace(body, remedies=(REMEDY,)),
    )
)
SAME_SEAL = write_chain(
    Script(
        receipt=lambda body: replace(with_held(body), receipt_id="R-2"),
        certificate=lambda body: replace(body, remedies=(REMEDY,)),
    )
)


@pytest.mark.parametrize(
    ("of", "changes", "reason"),
    [
        (OTHER, {}, r"certificate\.order"),
        (SAME_SEAL, {}, r"certificate\.receipts"),
        (FIRST, {"evidence": None}, r"certificate\.evidence"),
        (FIRST, {"remedies": ()}, r"certificate\.remedies"),
        (FIRST, {"remedies": (replace(REMEDY, reference="bank case 18"),)}, r"certificate\.remedies"),
        (FIRST, {"issued_at": NOW + 7299}, r"certificate\.issued_at"),
    ],
    ids=["order", "receipt", "evidence", "remedies", "another remedy", "time"],
)
def test_a_successor_that_differs_in_what_was_signed_or_forgets_a_remedy_is_refused(
    of: Documents, changes: dict[str, Any], reason: str
) -> None:
    newer = successor(of.certificate, **{"supersedes": digest(FIRST.certificate), **changes})
    with pytest.raises(DocumentError, match=reason):
        judge_succession([certificate_of(newer), FIRST.file], ANCHORS)


def test_two_that_supersede_the_same_and_two_that_have_nothing_to_do_with_each_other_are_no_line() -> None:
    one, two = successor(FIRST.certificate), successor(FIRST.certificate, case=())
    for files in ([FIRST.file, one, two], [FIRST.file, OTHER.file], [FIRST.file, FIRST.file], []):
        with pytest.raises(DocumentError, match="not one line"):
            judge_succession(files, ANCHORS)
