"""The chain: nothing that is damaged, forged, misplaced or of somebody else makes a certificate."""

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
    write_chain,
)
from posdecom_protocol.certificates import Anchors, Role
from posdecom_protocol.documents import issue
from posdecom_protocol.documents.certificate import State
from posdecom_protocol.documents.order import Mode
from posdecom_protocol.documents.receipt import Receipt
from posdecom_protocol.documents.salvage import Salvage, SalvagedSum
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.money import Tally
from posdecom_protocol.verdict import Verdict, judge, split
from posdecom_simulator.authority import Authority, Validity

USUAL = write_chain()
ONE = Tally(1, 1000)


def _context(**changes: Any) -> Callable[[Receipt], Receipt]:
    return lambda receipt: replace(receipt, contexts=(replace(receipt.contexts[0], **changes),))


def told(script: Script, hands: Hands = HANDS) -> Verdict:
    return judge(write_chain(script, hands).file, ANCHORS)


def certified(documents: Documents, **changes: Any) -> bytes:
    """A certificate over these documents, less what ``changes`` leave out, and its closure."""
    body = certificate_body(documents.order, documents.seal, documents.receipts, documents.evidence)
    certificate = issue(replace(body, **changes), HANDS.technician)
    return certificate + issue(closure_body(certificate), HANDS.closure)


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


def _contexts(*ranges: tuple[int, int], item_count: int = 5) -> Callable[[Seal], Seal]:
    """Of the seal's two contexts, which of its items each has."""

    def change(seal: Seal) -> Seal:
        shared = zip(seal.contexts, ranges, strict=True)
        contexts = tuple(replace(one, item_first=first, item_last=last) for one, (first, last) in shared)
        return replace(seal, contexts=contexts, item_count=item_count)

    return change


@pytest.mark.parametrize("ranges", [((1, 5), (6, 5)), ((1, 0), (1, 5)), ((1, 3), (4, 5))])
def test_contexts_share_out_the_items_between_them(ranges: tuple[tuple[int, int], ...]) -> None:
    sealed = certified(write_chain(Script(seal=_contexts(*ranges))), receipts=(), evidence=None)
    assert judge(sealed, ANCHORS).state is State.INCOMPLETE


@pytest.mark.parametrize(
    ("ranges", "item_count"),
    [
        (((1, 4), (5, 4)), 5),
        (((1, 5), (6, 5)), 4),
        (((2, 5), (6, 5)), 5),
        (((1, 3), (5, 5)), 5),
        (((1, 3), (3, 5)), 5),
        (((1, 6), (7, 5)), 5),
    ],
    ids=["one over", "one too many", "not from 1", "a gap", "one twice", "backwards"],
)
def test_a_seal_whose_items_are_not_shared_out_is_refused(
    ranges: tuple[tuple[int, int], ...], item_count: int
) -> None:
    with pytest.raises(DocumentError, match="seal: its contexts do not share out its items"):
        told(Script(seal=_contexts(*ranges, item_count=item_count)))


SALVAGE = Salvage(
    3, bytes(32), (SalvagedSum(156, Tally(1, 900), Tally()), SalvagedSum(344, Tally(), Tally(2, 70)))
)


def with_salvage(salvage: Salvage, **changes: Any) -> bytes:
    """A certificate without a seal that states it."""
    absent: dict[str, Any] = {"seal": None, "receipts": (), "evidence": None}
    return certified(USUAL, **absent | {"salvage": salvage} | changes)


ORDERED = (bytes(8), b"12345678")


@pytest.mark.parametrize(
    ("ordered", "stated"), [(None, ORDERED), (ORDERED, None), (ORDERED, ORDERED[:1]), (ORDERED[:1], ORDERED)]
)
def test_a_certificate_names_the_keys_that_its_order_revokes_and_no_others(
    ordered: tuple[bytes, ...] | None, stated: tuple[bytes, ...] | None
) -> None:
    def script(names: tuple[bytes, ...] | None) -> Script:
        return Script(
            order=lambda body: replace(body, revoke=ordered),
            certificate=lambda body: replace(body, revoke=names),
        )

    assert judge(write_chain(script(ordered)).certificate, ANCHORS).state is State.INCOMPLETE
    with pytest.raises(DocumentError, match=r"certificate\.revoke: is not what its order lists"):
        judge(write_chain(script(stated)).file, ANCHORS)


def test_a_certificate_without_an_order_names_no_key_to_revoke() -> None:
    nothing: dict[str, Any] = {"order": None, "seal": None, "receipts": (), "evidence": None}
    assert judge(certified(USUAL, **nothing), ANCHORS).state is State.UNATTESTED
    assert judge(certified(USUAL, **nothing, revoke=()), ANCHORS).state is State.UNATTESTED
    with pytest.raises(DocumentError, match=r"certificate\.revoke: is not what its order lists"):
        judge(certified(USUAL, **nothing, revoke=ORDERED), ANCHORS)


def test_what_was_salvaged_stands_where_an_order_is_and_no_seal() -> None:
    assert judge(with_salvage(SALVAGE), ANCHORS).state is State.UNATTESTED
    for changes in ({"order": None}, {"seal": USUAL.seal}):
        with pytest.raises(
            DocumentError, match=r"certificate\.salvage: is there without an order, or beside a seal"
        ):
            judge(with_salvage(SALVAGE, **changes), ANCHORS)


@pytest.mark.parametrize(
    "salvage",
    [
        replace(SALVAGE, count=2),
        replace(SALVAGE, count=0),
        replace(SALVAGE, sums=SALVAGE.sums[::-1]),
        replace(SALVAGE, sums=SALVAGE.sums[:1] * 2),
    ],
    ids=["fewer than counted", "none", "not by rising currency", "a currency twice"],
)
def test_a_salvage_that_does_not_add_up_is_refused(salvage: Salvage) -> None:
    with pytest.raises(DocumentError, match=r"certificate\.salvage: does not add up"):
        judge(with_salvage(salvage), ANCHORS)


def test_salvaged_records_that_move_no_money_are_counted_in_no_sum() -> None:
    assert judge(with_salvage(replace(SALVAGE, count=4)), ANCHORS).state is State.UNATTESTED


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
    for data in (
        b"",
        b"\xd2",
        b"\xd3" + USUAL.file[1:],
        USUAL.file + USUAL.closure,
        USUAL.file + b"\xa0",
        b"\xa0" + USUAL.file,
    ):
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
