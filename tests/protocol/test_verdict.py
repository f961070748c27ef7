"""The verdict: what the documents inside amount to, whatever anybody says they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from document_chain import (
    ANCHORS,
    AS_USUAL,
    HANDS,
    TWO_HANDS,
    Documents,
    Hands,
    Script,
    certificate_body,
    closure_body,
    stating,
    write_chain,
)
from posdecom_protocol.certificates import Role
from posdecom_protocol.cose import digest
from posdecom_protocol.documents import issue
from posdecom_protocol.documents.certificate import Certificate, State
from posdecom_protocol.documents.evidence import EraseMethod, ReadBack
from posdecom_protocol.documents.order import Action
from posdecom_protocol.documents.receipt import Basis, Receipt, Refusal
from posdecom_protocol.documents.salvage import Salvage, SalvagedSum
from posdecom_protocol.documents.seal import Tamper
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.money import Tally
from posdecom_protocol.verdict import Area, Verdict, Weight, judge

USUAL = write_chain()
ONE = Tally(1, 1000)
REST = Tally(2, 2500)
"""What is left of the seal's totals without ONE."""


def texts(verdict: Verdict, weight: Weight) -> list[tuple[Area, str]]:
    return [(finding.area, finding.text) for finding in verdict.findings if finding.weight is weight]


def told(script: Script, hands: Hands = HANDS) -> Verdict:
    return judge(write_chain(script, hands).file, ANCHORS)


# --- complete ------------------------------------------------------------------------------------


def test_money_keys_and_closure_are_complete() -> None:
    verdict = judge(USUAL.file, ANCHORS)
    assert (verdict.state, verdict.state_at_terminal) == (State.COMPLETE, State.COMPLETE)
    assert verdict.serial == "T-0001"
    assert verdict.certificate.data == USUAL.certificate
    assert verdict.closure is not None and verdict.closure.data == USUAL.closure
    assert texts(verdict, Weight.MISSING) == texts(verdict, Weight.EXCEPTION) == []
    assert texts(verdict, Weight.PROVED) == [
        (Area.MONEY, "context 0, currency 156: 3 transactions (3500 in minor units) delivered and agreed"),
        (Area.KEYS, "2 key slots, each read back empty"),
        (Area.CLOSURE, "the acquirer saw this certificate and closed it"),
    ]


def test_every_signer_is_named_with_its_document_and_role() -> None:
    verdict = judge(write_chain(AS_USUAL, TWO_HANDS).file, ANCHORS)
    assert [(name, signer.role) for name, signer in verdict.signers] == [
        ("order", Role.ORDER),
        ("seal", Role.TERMINAL),
        ("receipt 1", Role.RELEASE),
        ("receipt 2", Role.APPROVER),
        ("evidence", Role.TERMINAL),
        ("certificate", Role.TECHNICIAN),
        ("closure", Role.RELEASE),
    ]


def test_open_paperwork_is_listed_and_changes_nothing() -> None:
    verdict = judge(USUAL.file, ANCHORS)
    assert (Area.PAPERWORK, "open: form signed") in texts(verdict, Weight.NOTE)
    assert not any("box sealed" in finding.text for finding in verdict.findings)
    assert verdict.state is State.COMPLETE


def test_what_stays_open_or_is_kept_is_listed_and_changes_nothing() -> None:
    notes = texts(judge(USUAL.file, ANCHORS), Weight.NOTE)
    assert notes[:3] == [
        (Area.MONEY, "open pre-authorisation, STAN 000017, in no total"),
        (Area.KEYS, "to be destroyed after signing this evidence: IDENTITY-ATTESTATION"),
        (Area.KEYS, "kept: order, seal, receipt, evidence (served for ever)"),
    ]


def test_a_terminal_without_transactions_is_complete() -> None:
    script = Script(
        seal=lambda seal: replace(seal, contexts=(), item_count=0, preauths=()),
        receipt=lambda receipt: replace(receipt, contexts=()),
    )
    verdict = told(script)
    assert verdict.state is State.COMPLETE
    assert (Area.MONEY, "the terminal held no transaction") in texts(verdict, Weight.PROVED)


# --- complete with exceptions --------------------------------------------------------------------


def _context(**changes: Any) -> Callable[[Receipt], Receipt]:
    return lambda receipt: replace(receipt, contexts=(replace(receipt.contexts[0], **changes),))


@pytest.mark.parametrize(
    ("script", "hands", "text"),
    [
        (
            Script(receipt=_context(delivered=REST, refused=ONE, refusals=(Refusal(2, "96"),))),
            TWO_HANDS,
            "context 0, currency 156: 1 transactions (1000 in minor units) refused by the host",
        ),
        (
            Script(receipt=_context(delivered=REST, refused=ONE)),
            TWO_HANDS,
            "context 0, currency 156: 1 transactions (1000 in minor units) refused by the host",
        ),
        (
            Script(receipt=_context(delivered=REST, undelivered=ONE)),
            TWO_HANDS,
            "context 0, currency 156: 1 transactions (1000 in minor units) not delivered",
        ),
        (
            Script(receipt=_context(withheld=ONE)),
            HANDS,
            "context 0, currency 156: 1 transactions (1000 in minor units) withheld after the cut-off",
        ),
        (
            Script(receipt=lambda receipt: replace(receipt, basis=Basis.EXCEPTION)),
            TWO_HANDS,
            "released by exception, with two acquirer signatures",
        ),
        (
            Script(seal=lambda seal: replace(seal, tamper=Tamper.TAMPERED)),
            TWO_HANDS,
            "the terminal reported tampering before it was sealed",
        ),
        (
            Script(evidence=lambda evidence: replace(evidence, tamper=Tamper.TAMPERED)),
            HANDS,
            "the terminal reported tampering before the erase",
        ),
        (
            Script(closure=lambda closure: replace(closure, refunds_open=2)),
            HANDS,
            "2 refunds not yet closed",
        ),
    ],
    ids=[
        "refused",
        "refused without a list",
        "undelivered",
        "withheld",
        "exception",
        "tampered",
        "tampered later",
        "refunds open",
    ],
)
def test_one_exception_makes_it_complete_with_exceptions(script: Script, hands: Hands, text: str) -> None:
    verdict = told(script, hands)
    assert verdict.state is State.EXCEPTIONS
    assert [finding for _area, finding in texts(verdict, Weight.EXCEPTION)] == [text]


def test_what_was_refused_is_counted_even_where_the_receipt_counts_it_without_amount() -> None:
    verdict = told(Script(receipt=_context(refusals=(Refusal(2, "96"),))), TWO_HANDS)
    assert verdict.state is State.EXCEPTIONS


# --- incomplete and unattested -------------------------------------------------------------------


def certified(documents: Documents, **changes: Any) -> bytes:
    """A certificate over these documents, less what ``changes`` leave out, and its closure."""
    body = certificate_body(documents.order, documents.seal, documents.receipts, documents.evidence)
    certificate = issue(replace(body, **changes), HANDS.technician)
    return certificate + issue(closure_body(certificate), HANDS.closure)


@pytest.mark.parametrize(
    ("changes", "state", "missing"),
    [
        ({"evidence": None}, State.INCOMPLETE, [(Area.KEYS, "no evidence that any key was erased")]),
        (
            {"evidence": None, "receipts": ()},
            State.INCOMPLETE,
            [
                (Area.MONEY, "no receipt: the acquirer has not agreed to the batch"),
                (Area.KEYS, "no evidence that any key was erased"),
            ],
        ),
        (
            {"evidence": None, "receipts": (), "seal": None},
            State.UNATTESTED,
            [
                (Area.MONEY, "no seal: nobody knows what the terminal held"),
                (Area.KEYS, "no evidence that any key was erased"),
            ],
        ),
        (
            {"evidence": None, "receipts": (), "seal": None, "order": None},
            State.UNATTESTED,
            [
                (Area.MONEY, "no seal: nobody knows what the terminal held"),
                (Area.KEYS, "no evidence that any key was erased"),
            ],
        ),
    ],
    ids=["no evidence", "no receipt", "no seal", "nothing"],
)
def test_each_part_that_is_missing_is_named(
    changes: dict[str, Any], state: State, missing: list[tuple[Area, str]]
) -> None:
    verdict = judge(certified(USUAL, **changes), ANCHORS)
    assert (verdict.state, verdict.state_at_terminal) == (state, state)
    assert texts(verdict, Weight.MISSING) == missing


def test_complete_at_the_terminal_is_incomplete_without_the_closure() -> None:
    verdict = judge(USUAL.certificate, ANCHORS)
    assert (verdict.state, verdict.state_at_terminal) == (State.INCOMPLETE, State.COMPLETE)
    assert verdict.closure is None
    assert texts(verdict, Weight.MISSING) == [(Area.CLOSURE, "no closure: complete at the terminal at best")]


def test_an_order_that_only_settles_may_have_its_receipt_without_any_erase() -> None:
    script = Script(
        order=lambda order: replace(order, actions=(Action.FLUSH,)),
        certificate=lambda body: replace(body, evidence=None, stated=State.INCOMPLETE),
    )
    verdict = judge(write_chain(script).certificate, ANCHORS)
    assert verdict.state is State.INCOMPLETE


@pytest.mark.parametrize("forgotten", ["ksn_denied", "keys_deleted", "certificates_revoked"])
def test_an_acquirer_that_still_knows_something_has_not_closed(forgotten: str) -> None:
    nothing: dict[str, Any] = {forgotten: ()}
    verdict = told(Script(closure=lambda closure: replace(closure, **nothing)))
    assert verdict.state is State.INCOMPLETE
    assert [area for area, _text in texts(verdict, Weight.MISSING)] == [Area.CLOSURE]


def test_every_key_that_the_order_lists_must_be_revoked_by_the_closure() -> None:
    listed = (bytes(8), bytes.fromhex("1234567890123456"), b"12345678")
    revoking = Script(order=lambda order: replace(order, revoke=listed))
    verdict = told(revoking)
    assert [area for area, _text in texts(verdict, Weight.MISSING)] == [Area.CLOSURE]
    done = replace(revoking, closure=lambda closure: replace(closure, certificates_revoked=listed))
    assert told(done).state is State.COMPLETE


@pytest.mark.parametrize("slot", [0, 1], ids=["held a key", "held none"])
@pytest.mark.parametrize("read_back", [ReadBack.NOT_DONE, ReadBack.NOT_EMPTY])
def test_a_slot_that_was_not_read_back_empty_is_a_missing_erase(read_back: ReadBack, slot: int) -> None:
    def change(evidence: Any) -> Any:
        slots = list(evidence.slots)
        slots[slot] = replace(slots[slot], read_back=read_back)
        return replace(evidence, slots=tuple(slots))

    verdict = told(Script(evidence=change))
    assert verdict.state is State.INCOMPLETE
    assert texts(verdict, Weight.MISSING) == [(Area.KEYS, "not every key slot was read back empty")]
    assert Area.KEYS not in {area for area, _text in texts(verdict, Weight.PROVED)}


@pytest.mark.parametrize(
    "contradiction",
    [{"method": EraseMethod.NOT_YET}, {"read_back": ReadBack.WAS_EMPTY}],
    ids=["empty without an erase", "empty before, with a check value"],
)
def test_a_slot_report_that_contradicts_itself_proves_no_erase(contradiction: dict[str, Any]) -> None:
    def change(evidence: Any) -> Any:
        return replace(evidence, slots=(replace(evidence.slots[0], **contradiction),))

    assert told(Script(evidence=change)).state is State.INCOMPLETE


def test_an_evidence_without_slots_proves_nothing() -> None:
    assert told(Script(evidence=lambda evidence: replace(evidence, slots=()))).state is State.INCOMPLETE


# --- a stated state ------------------------------------------------------------------------------


@pytest.mark.parametrize("stated", list(State), ids=lambda state: state.name.lower())
@pytest.mark.parametrize(
    ("changes", "derived"),
    [
        ({}, State.COMPLETE),
        ({"evidence": None}, State.INCOMPLETE),
        ({"evidence": None, "receipts": (), "seal": None}, State.UNATTESTED),
    ],
)
def test_a_certificate_may_understate_but_never_overstate(
    stated: State, changes: dict[str, Any], derived: State
) -> None:
    file = certified(USUAL, stated=stated, **changes)
    if stated >= derived:
        assert judge(file, ANCHORS).state_at_terminal is derived
        return
    with pytest.raises(
        DocumentError, match=r"certificate\.stated: is better than the documents inside allow"
    ):
        judge(file, ANCHORS)


def test_complete_may_not_be_stated_over_an_exception() -> None:
    script = Script(receipt=_context(delivered=REST, undelivered=ONE), certificate=stating(State.COMPLETE))
    with pytest.raises(DocumentError, match="is better than"):
        told(script, TWO_HANDS)


@pytest.mark.parametrize(
    ("script", "area"),
    [
        (Script(receipt=lambda receipt: replace(receipt, remark="two lines, one case")), Area.MONEY),
        (Script(closure=lambda closure: replace(closure, remark="two lines, one case")), Area.CLOSURE),
    ],
    ids=["receipt", "closure"],
)
def test_what_the_acquirer_remarks_is_told_where_it_was_said_and_changes_nothing(
    script: Script, area: Area
) -> None:
    verdict = told(script)
    remarks = [one for one in texts(verdict, Weight.NOTE) if "remarks" in one[1]]
    assert remarks == [(area, "the acquirer remarks: two lines, one case")]
    assert verdict.state is State.COMPLETE


def test_what_was_salvaged_is_told_as_money_that_nobody_signed_for() -> None:
    sums = (SalvagedSum(156, Tally(2, 900), Tally(1, 100)), SalvagedSum(344, Tally(), Tally(1, 70)))
    salvage = Salvage(5, bytes(range(32)), sums)
    verdict = judge(certified(USUAL, seal=None, receipts=(), evidence=None, salvage=salvage), ANCHORS)
    assert verdict.state is State.UNATTESTED
    assert texts(verdict, Weight.MISSING)[0] == (
        Area.MONEY,
        "no seal: the terminal was tampered with; 5 records salvaged, unsigned",
    )
    assert [text for area, text in texts(verdict, Weight.NOTE) if area is Area.MONEY] == [
        "salvaged, currency 156: debit 2 transactions (900 in minor units), credit 1 transactions (100 in minor units)",
        "salvaged, currency 344: debit 0 transactions (0 in minor units), credit 1 transactions (70 in minor units)",
        f"digest of the salvaged records: {bytes(range(32)).hex()}",
    ]


def test_a_certificate_may_name_one_that_it_supersedes() -> None:
    earlier = digest(USUAL.certificate)
    verdict = told(Script(certificate=lambda body: replace(body, supersedes=earlier)))
    body: Certificate = verdict.certificate.body
    assert (verdict.state, body.supersedes) == (State.COMPLETE, earlier)
