"""The guard: each condition decides alone.

A row of `FLIPS` changes exactly one thing. The guard must name that condition, and with that condition taken out of
the table the same bytes must be accepted: no condition hides behind another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pytest

from document_chain import (
    ACQUIRER,
    ANCHORS,
    APPROVER,
    AS_USUAL,
    HANDS,
    OTHER_ACQUIRER,
    TOTALS,
    TWO_HANDS,
    Documents,
    Hands,
    Identity,
    Script,
    holding,
    receipt_body,
    write_chain,
)
from posdecom_protocol import guard
from posdecom_protocol.certificates import Role
from posdecom_protocol.cose import SigningKey, digest
from posdecom_protocol.documents import issue
from posdecom_protocol.documents.order import Action
from posdecom_protocol.documents.receipt import Basis, Receipt, ReceiptContext
from posdecom_protocol.documents.receipt import Refusal as RefusedMessage
from posdecom_protocol.documents.seal import Tamper
from posdecom_protocol.guard import (
    GuardRefusal,
    Holding,
    check_release,
    needs_second_signature,
)
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import Refusal
from posdecom_protocol.money import Tally

USUAL = write_chain()
TEN = (
    Refusal.ISSUER_CHAIN,
    Refusal.ROLE,
    Refusal.SIGNATURES,
    Refusal.TYPE_AND_VERSION,
    Refusal.TERMINAL,
    Refusal.ORDER,
    Refusal.SEAL,
    Refusal.CHALLENGE,
    Refusal.ACTION,
    Refusal.STATE,
)
ONE = Tally(1, 1000)
REST = Tally(2, 2500)
"""What is left of the seal's totals without ONE."""
Offer = tuple[Sequence[bytes], Holding]


def refusal(offer: Offer, check: Callable[..., object] = check_release) -> Refusal | None:
    try:
        check(*offer)
    except GuardRefusal as error:
        return error.reason
    return None


# --- what is accepted ----------------------------------------------------------------------------


def test_one_signature_releases_what_was_delivered_in_full() -> None:
    release = check_release(USUAL.receipts, holding(USUAL))
    assert release.receipt == receipt_body(USUAL.order, USUAL.seal)
    assert release.digests == (digest(USUAL.receipts[0]),)


def test_two_signatures_release_what_was_refused_or_not_delivered() -> None:
    documents = write_chain(Script(receipt=_short), TWO_HANDS)
    release = check_release(documents.receipts, holding(documents))
    assert release.digests == tuple(digest(receipt) for receipt in documents.receipts)


def test_two_signatures_release_an_exception() -> None:
    documents = write_chain(Script(receipt=_exception), TWO_HANDS)
    assert check_release(documents.receipts, holding(documents)).receipt.basis is Basis.EXCEPTION


def test_two_signatures_release_a_tampered_terminal() -> None:
    documents = write_chain(TAMPERED, TWO_HANDS)
    check_release(documents.receipts, holding(documents))


def test_a_second_release_signer_is_as_good_as_an_approver() -> None:
    second = Identity("second release signer").hand(ACQUIRER, Role.RELEASE)
    documents = write_chain(Script(receipt=_exception), replace(HANDS, second=second))
    check_release(documents.receipts, holding(documents))


def test_a_second_signature_that_nobody_needs_does_no_harm() -> None:
    documents = write_chain(AS_USUAL, TWO_HANDS)
    check_release(documents.receipts, holding(documents))


def test_a_terminal_without_transactions_is_released_by_a_receipt_without_contexts() -> None:
    script = Script(
        seal=lambda seal: replace(seal, contexts=seal.contexts[1:]),
        receipt=lambda receipt: replace(receipt, contexts=()),
    )
    documents = write_chain(script)
    check_release(documents.receipts, holding(documents))


# --- ten conditions, each alone ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Flip:
    condition: Refusal
    offer: Callable[[], Offer]


def _usual(documents: Documents = USUAL) -> Offer:
    return documents.receipts, holding(documents)


def _receipt(change: Callable[[Receipt], Receipt], hands: Hands = HANDS) -> Offer:
    return _usual(write_chain(Script(receipt=change), hands))


def _short(receipt: Receipt) -> Receipt:
    context = replace(receipt.contexts[0], delivered=REST, refused=ONE, refusals=(RefusedMessage(2, "96"),))
    return replace(receipt, contexts=(context,))


def _exception(receipt: Receipt) -> Receipt:
    return replace(receipt, basis=Basis.EXCEPTION)


TAMPERED = Script(seal=lambda seal: replace(seal, tamper=Tamper.TAMPERED))


def _contexts(change: Callable[[ReceiptContext], tuple[ReceiptContext, ...]]) -> Offer:
    return _receipt(lambda receipt: replace(receipt, contexts=change(receipt.contexts[0])))


def _from_another_authority() -> Offer:
    """Trusted, certified for release, valid: but not the authority that gave the order."""
    return _receipt(lambda it: it, replace(HANDS, release=_other("release signer", Role.RELEASE)))


def _second_from_another_authority() -> Offer:
    return _receipt(_exception, replace(HANDS, second=_other("approver", Role.APPROVER)))


def _other(name: str, role: Role) -> SigningKey:
    return Identity(name).hand(OTHER_ACQUIRER, role)


def _not_signed_by_its_key() -> Offer:
    receipt = USUAL.receipts[0]
    return (receipt[:-1] + bytes([receipt[-1] ^ 1]),), holding(USUAL)


def _second_over_another_payload() -> Offer:
    other = replace(receipt_body(USUAL.order, USUAL.seal), remark="something else")
    return (USUAL.receipts[0], issue(other, APPROVER)), holding(USUAL)


def _signed_by_the_key_of_the_order(second: bool) -> Offer:
    """An acquirer who gave one key two certificates: whoever has that key could order and release."""
    both = Identity("order signer").hand(ACQUIRER, Role.APPROVER if second else Role.RELEASE)
    return _receipt(lambda it: it, replace(HANDS, second=both) if second else replace(HANDS, release=both))


def _action_not_allowed() -> Offer:
    return _usual(write_chain(Script(order=lambda order: replace(order, actions=(Action.FLUSH,)))))


def _in_state(state: LifecycleState) -> Offer:
    return USUAL.receipts, replace(holding(USUAL), state=state)


FLIPS = {
    "another authority": Flip(Refusal.ISSUER_CHAIN, _from_another_authority),
    "another authority for the second signer": Flip(Refusal.ISSUER_CHAIN, _second_from_another_authority),
    "first signer is only an approver": Flip(
        Refusal.ROLE, lambda: _receipt(lambda it: it, replace(HANDS, release=APPROVER))
    ),
    "second signer may only sign orders": Flip(
        Refusal.ROLE,
        lambda: _receipt(
            _exception, replace(HANDS, second=Identity("other order signer").hand(ACQUIRER, Role.ORDER))
        ),
    ),
    "signature does not hold": Flip(Refusal.SIGNATURES, _not_signed_by_its_key),
    "second signature over another payload": Flip(Refusal.SIGNATURES, _second_over_another_payload),
    "one key signed twice": Flip(
        Refusal.SIGNATURES, lambda: _receipt(_exception, replace(HANDS, second=HANDS.release))
    ),
    "key of the order signed": Flip(Refusal.SIGNATURES, lambda: _signed_by_the_key_of_the_order(False)),
    "key of the order signed second": Flip(Refusal.SIGNATURES, lambda: _signed_by_the_key_of_the_order(True)),
    "a delivery that leaves something unaccounted for": Flip(
        Refusal.SEAL,
        lambda: _receipt(lambda it: replace(it, contexts=(replace(it.contexts[0], delivered=REST),))),
    ),
    "something refused, one signature": Flip(Refusal.SIGNATURES, lambda: _receipt(_short)),
    "exception, one signature": Flip(Refusal.SIGNATURES, lambda: _receipt(_exception)),
    "tampered, one signature": Flip(Refusal.SIGNATURES, lambda: _usual(write_chain(TAMPERED))),
    "another terminal": Flip(Refusal.TERMINAL, lambda: _receipt(lambda it: replace(it, serial="T-0002"))),
    "another order": Flip(Refusal.ORDER, lambda: _receipt(lambda it: replace(it, order_digest=bytes(32)))),
    "another seal": Flip(Refusal.SEAL, lambda: _receipt(lambda it: replace(it, seal_digest=bytes(32)))),
    "other currency": Flip(Refusal.SEAL, lambda: _contexts(lambda it: (replace(it, currency=344),))),
    "other totals": Flip(
        Refusal.SEAL, lambda: _contexts(lambda it: (replace(it, totals=(replace(TOTALS[0], debit=ONE),)),))
    ),
    "other context": Flip(Refusal.SEAL, lambda: _contexts(lambda it: (replace(it, index=1),))),
    "a context missing": Flip(Refusal.SEAL, lambda: _contexts(lambda _it: ())),
    "a context twice": Flip(Refusal.SEAL, lambda: _contexts(lambda it: (it, it))),
    "a context too many": Flip(Refusal.SEAL, lambda: _contexts(lambda it: (it, replace(it, index=1)))),
    "another challenge": Flip(
        Refusal.CHALLENGE, lambda: _receipt(lambda it: replace(it, challenge=bytes(32)))
    ),
    "no erase ordered": Flip(Refusal.ACTION, _action_not_allowed),
    **{
        f"state {state.name.lower()}": Flip(Refusal.STATE, partial(_in_state, state))
        for state in LifecycleState
        if state is not LifecycleState.FROZEN
    },
}
every_flip = pytest.mark.parametrize("flip", FLIPS.values(), ids=FLIPS)


@every_flip
def test_one_thing_wrong_is_refused_by_its_own_condition(flip: Flip) -> None:
    assert refusal(flip.offer()) is flip.condition


@every_flip
def test_nothing_else_would_have_stopped_it(flip: Flip, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modified condition / decision coverage: the outcome hangs on this condition and on no other."""
    others = tuple(row for row in guard.RELEASE if row[0] is not flip.condition)
    assert len(others) == len(guard.RELEASE) - 1
    monkeypatch.setattr(guard, "RELEASE", others)
    assert refusal(flip.offer()) is None


@every_flip
def test_a_reader_of_a_chain_without_an_erase_forgives_that_none_was_ordered_and_nothing_else(
    flip: Flip,
) -> None:
    expected = None if flip.condition is Refusal.ACTION else flip.condition
    assert refusal(flip.offer(), partial(check_release, erase=False)) is expected


def test_there_are_ten_conditions_and_each_is_flipped_by_a_test() -> None:
    flipped = {flip.condition for flip in FLIPS.values()} | {Refusal.TYPE_AND_VERSION}
    assert flipped == set(TEN) == {row[0] for row in guard.RELEASE} | {Refusal.TYPE_AND_VERSION}
    assert [reason.value for reason in TEN] == list(range(1, 11))


@pytest.mark.parametrize("data", [USUAL.order, USUAL.seal, USUAL.evidence, USUAL.closure, b"", b"\xd2\x84"])
def test_what_is_no_receipt_is_refused_by_type_and_version(data: bytes) -> None:
    assert refusal(((data,), holding(USUAL))) is Refusal.TYPE_AND_VERSION
    assert refusal(((USUAL.receipts[0], data), holding(USUAL))) is Refusal.TYPE_AND_VERSION


@pytest.mark.parametrize("count", [0, 3])
def test_one_or_two_receipts_are_a_release_and_no_other_number(count: int) -> None:
    assert refusal((USUAL.receipts * count, holding(USUAL))) is Refusal.SIGNATURES


def test_a_third_receipt_is_too_many_whoever_signed_it() -> None:
    documents = write_chain(AS_USUAL, TWO_HANDS)
    third = Identity("second release signer").hand(ACQUIRER, Role.RELEASE)
    three = (*documents.receipts, issue(receipt_body(documents.order, documents.seal), third))
    assert refusal((three, holding(documents))) is Refusal.SIGNATURES


def test_the_receipts_of_an_earlier_freeze_are_dead_after_a_thaw() -> None:
    """The same order and the same day's work, sealed again: only the challenge is new."""
    again = write_chain(Script(seal=lambda seal: replace(seal, challenge=bytes(32))))
    assert refusal((USUAL.receipts, holding(again))) is Refusal.SEAL


def test_an_untrusted_authority_is_no_issuer() -> None:
    nobody = replace(holding(USUAL), anchors=type(ANCHORS)())
    assert refusal((USUAL.receipts, nobody)) is Refusal.ISSUER_CHAIN


@pytest.mark.parametrize("tamper", list(Tamper))
@pytest.mark.parametrize("change", [lambda it: it, _short, _exception])
def test_tampering_alone_makes_two_signatures_necessary(
    tamper: Tamper, change: Callable[[Receipt], Receipt]
) -> None:
    receipt = change(receipt_body(USUAL.order, USUAL.seal))
    seal = replace(holding(USUAL).seal.body, tamper=tamper)
    expected = receipt.needs_second_signature or tamper is Tamper.TAMPERED
    assert needs_second_signature(receipt, seal) is expected
