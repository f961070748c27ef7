"""The verdict: what the documents inside amount to, whatever anybody says they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from document_chain import (
    ACQUIRER,
    ANCHORS,
    APPROVER,
    AS_USUAL,
    DAY,
    HANDS,
    NOW,
    OTHER_ACQUIRER,
    SHIFT,
    TERMINALS,
    TWO_HANDS,
    Documents,
    Hands,
    Identity,
    Script,
    certificate_body,
    closure_body,
    stating,
    write_chain,
)
from posdecom_protocol.certificates import Anchors, Role
from posdecom_protocol.cose import digest
from posdecom_protocol.documents import issue
from posdecom_protocol.documents.certificate import Certificate, State
from posdecom_protocol.documents.evidence import EraseMethod, ReadBack
from posdecom_protocol.documents.order import Mode
from posdecom_protocol.documents.receipt import Basis, Receipt, Refusal
from posdecom_protocol.documents.seal import Tamper
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.money import Tally
from posdecom_protocol.verdict import Area, Verdict, Weight, judge, split
from posdecom_simulator.authority import Authority, Validity

USUAL = write_chain()
ONE = Tally(1, 1000)


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
        seal=lambda seal: replace(seal, contexts=seal.contexts[1:], preauths=()),
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
            Script(receipt=_context(refused=ONE, refusals=(Refusal(2, "96"),))),
            TWO_HANDS,
            "context 0, currency 156: 1 transactions (1000 in minor units) refused by the host",
        ),
        (
            Script(receipt=_context(undelivered=ONE)),
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
    ids=["refused", "undelivered", "withheld", "exception", "tampered", "tampered later", "refunds open"],
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


@pytest.mark.parametrize("read_back", [ReadBack.NOT_DONE, ReadBack.NOT_EMPTY])
def test_a_slot_that_was_not_read_back_empty_is_a_missing_erase(read_back: ReadBack) -> None:
    def change(evidence: Any) -> Any:
        return replace(evidence, slots=(replace(evidence.slots[0], read_back=read_back), *evidence.slots[1:]))

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
    script = Script(receipt=_context(undelivered=ONE), certificate=stating(State.COMPLETE))
    with pytest.raises(DocumentError, match="is better than"):
        told(script, TWO_HANDS)


# --- what does not fit ---------------------------------------------------------------------------


def refused(match: str, script: Script = AS_USUAL, hands: Hands = HANDS, anchors: Anchors = ANCHORS) -> None:
    with pytest.raises(DocumentError, match=match):
        judge(write_chain(script, hands).file, anchors)


def _terminal(name: str, serial: str) -> Any:
    return Identity(name, serial).hand(TERMINALS, Role.TERMINAL)


def test_a_closure_of_another_certificate_closes_nothing() -> None:
    other = write_chain(Script(certificate=lambda body: replace(body, certificate_id="C-2")))
    with pytest.raises(DocumentError, match="closure: closes another certificate"):
        judge(USUAL.certificate + other.closure, ANCHORS)


def test_a_closure_of_another_acquirer_closes_nothing() -> None:
    """It is trusted, and certified for closures: but the order was not its own."""
    theirs = Identity("their release signer").hand(OTHER_ACQUIRER, Role.RELEASE)
    refused("closure: is not under the authority that gave the order", hands=replace(HANDS, closure=theirs))


def test_a_technician_whose_certificate_had_expired_at_the_closure_is_refused() -> None:
    late = Script(closure=lambda closure: replace(closure, closed_at=int(SHIFT.not_after) + 1))
    refused("certificate, certificate chain: a certificate has expired", late)
    in_time = Script(closure=lambda closure: replace(closure, closed_at=int(SHIFT.not_after)))
    assert told(in_time).state is State.COMPLETE


def test_a_certificate_issued_outside_the_technicians_shift_is_refused() -> None:
    late = Script(certificate=lambda body: replace(body, issued_at=int(SHIFT.not_after) + 1))
    refused("certificate, certificate chain: a certificate has expired", late)


@pytest.mark.parametrize("part", ["order", "release", "second", "closure"])
def test_an_acquirer_signer_must_have_been_certified_when_it_signed(part: str) -> None:
    role = {"order": Role.ORDER, "second": Role.APPROVER}.get(part, Role.RELEASE)
    expired = Identity("expired").hand(ACQUIRER, role, validity=Validity(NOW - DAY, NOW - 1))
    refused("a certificate has expired", hands=replace(TWO_HANDS, **{part: expired}))


@pytest.mark.parametrize("part", ["order", "seal", "receipt", "evidence", "closure"])
def test_documents_of_different_terminals_make_no_certificate(part: str) -> None:
    script = Script(**{part: lambda body: replace(body, serial="T-0002")})
    refused("certificate: its documents speak of different terminals", script)


@pytest.mark.parametrize("part", ["seal", "evidence"])
def test_a_terminal_speaks_for_itself_only(part: str) -> None:
    refused(
        f"{part}: is signed by another terminal", hands=replace(HANDS, **{part: _terminal("x", "T-0002")})
    )


def test_an_evidence_of_another_key_than_the_seal_is_refused() -> None:
    """The same serial, certified too: a terminal that lost its key between seal and evidence is not the same."""
    other = _terminal("another key of this terminal", "T-0001")
    refused("evidence: is signed by another key than the seal", hands=replace(HANDS, evidence=other))


@pytest.mark.parametrize(
    "change",
    [
        {"order_digest": bytes(32)},
        {"seal_digest": bytes(32)},
        {"receipt_digests": ()},
        {"receipt_digests": (bytes(32),)},
        {"nonce": bytes(32)},
        {"mode": Mode.REDEPLOY},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_evidence_must_name_all_that_it_rests_on(change: dict[str, Any]) -> None:
    refused(
        "evidence: does not belong to this order, seal and receipt",
        Script(evidence=lambda evidence: replace(evidence, **change)),
    )


def test_a_seal_under_another_order_is_refused() -> None:
    refused("seal: is not under this order", Script(seal=lambda seal: replace(seal, order_digest=bytes(32))))


def test_a_receipt_that_the_terminal_would_not_have_taken_is_refused_here_too() -> None:
    refused("receipt: refused: signatures", Script(receipt=_context(refused=ONE)))
    refused("receipt: refused: challenge", Script(receipt=lambda it: replace(it, challenge=bytes(32))))
    refused("receipt: refused: action", Script(order=lambda order: replace(order, actions=())))


def test_one_key_may_not_sign_a_receipt_twice() -> None:
    refused("receipt: refused: signatures", hands=replace(HANDS, second=HANDS.release))


def test_an_approver_alone_releases_nothing() -> None:
    refused("receipt, certificate chain", hands=replace(HANDS, release=APPROVER))


def test_swapped_receipts_are_refused() -> None:
    """Release first, approver second: as the evidence names them, and as the terminal took them."""
    documents = write_chain(AS_USUAL, TWO_HANDS)
    with pytest.raises(DocumentError, match="receipt, certificate chain"):
        judge(certified(documents, receipts=documents.receipts[::-1]), ANCHORS)
    release = Identity("second release signer").hand(ACQUIRER, Role.RELEASE)
    documents = write_chain(AS_USUAL, replace(HANDS, second=release))
    with pytest.raises(DocumentError, match="evidence: does not belong"):
        judge(certified(documents, receipts=documents.receipts[::-1]), ANCHORS)


def test_a_second_receipt_cannot_be_left_out_of_the_certificate() -> None:
    documents = write_chain(Script(receipt=_context(refused=ONE)), TWO_HANDS)
    with pytest.raises(DocumentError, match="receipt: refused: signatures"):
        judge(certified(documents, receipts=documents.receipts[:1]), ANCHORS)


@pytest.mark.parametrize(
    "absent",
    [("order",), ("seal",), ("receipts",), ("order", "seal"), ("seal", "receipts"), ("order", "receipts")],
    ids=" and ".join,
)
def test_no_document_stands_without_the_one_before_it(absent: tuple[str, ...]) -> None:
    changes: dict[str, Any] = {name: () if name == "receipts" else None for name in absent}
    with pytest.raises(DocumentError, match="holds a document without the one before it"):
        judge(certified(USUAL, **changes), ANCHORS)


@pytest.mark.parametrize("part", ["order", "seal", "evidence"])
def test_no_document_takes_the_place_of_another_inside_a_certificate(part: str) -> None:
    with pytest.raises(DocumentError, match=f"{part}, typ: is that of something else"):
        judge(certified(USUAL, **{part: USUAL.closure}), ANCHORS)


@pytest.mark.parametrize("part", ["technician", "order", "seal", "release", "evidence", "closure"])
def test_nobody_signs_under_an_authority_that_is_not_trusted(part: str) -> None:
    stranger = Authority.create(
        "stranger", tuple(Role), Validity(0, NOW + DAY), lambda n: hashlib.sha256(b"stranger").digest()[:n]
    )
    key = Identity("stranger's", "T-0001").hand(stranger, *Role)
    refused("not issued by a trusted authority", hands=replace(HANDS, **{part: key}))


# --- the file ------------------------------------------------------------------------------------


def test_a_file_is_a_certificate_or_a_certificate_and_its_closure() -> None:
    assert split(USUAL.certificate) == (USUAL.certificate,)
    assert split(USUAL.file) == (USUAL.certificate, USUAL.closure)
    for data in (b"", b"\xd2", USUAL.file + USUAL.closure, USUAL.file + b"\xa0", b"\xa0" + USUAL.file):
        with pytest.raises(DocumentError):
            split(data)


@pytest.mark.parametrize("data", [USUAL.closure, USUAL.closure + USUAL.certificate, USUAL.certificate * 2])
def test_a_file_in_another_order_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError, match="typ: is that of something else"):
        judge(data, ANCHORS)


def test_a_file_over_its_size_is_refused_before_it_is_read() -> None:
    with pytest.raises(DocumentError, match="622593 bytes; at most 622592"):
        split(bytes(622_593))
    with pytest.raises(DocumentError, match="is no certificate"):
        split(bytes(622_592))


def test_a_certificate_may_name_one_that_it_supersedes() -> None:
    earlier = digest(USUAL.certificate)
    verdict = told(Script(certificate=lambda body: replace(body, supersedes=earlier)))
    body: Certificate = verdict.certificate.body
    assert (verdict.state, body.supersedes) == (State.COMPLETE, earlier)
