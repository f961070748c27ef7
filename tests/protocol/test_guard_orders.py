"""What freezes a terminal and what thaws it: orders and cancellations, judged by each of their words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from document_chain import (
    ACQUIRER,
    ANCHORS,
    BY_ROLE,
    DAY,
    HANDS,
    NOW,
    OTHER_ACQUIRER,
    Identity,
    cancellation_body,
    holding,
    order_body,
    vacancy,
    write_chain,
)
from posdecom_protocol.certificates import Role
from posdecom_protocol.cose import SigningKey
from posdecom_protocol.documents import issue
from posdecom_protocol.documents.cancellation import Cancellation, NextBatch, Span
from posdecom_protocol.documents.order import Account, Order
from posdecom_protocol.guard import (
    GuardRefusal,
    Holding,
    Vacancy,
    check_cancellation,
    check_order,
)
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import Refusal
from posdecom_simulator.authority import Validity

USUAL = write_chain()


# --- orders --------------------------------------------------------------------------------------


def order_refusal(change: Callable[[Order], Order], key: SigningKey, vacant: Vacancy) -> Refusal | None:
    try:
        check_order(issue(change(order_body()), key), vacant)
    except GuardRefusal as error:
        return error.reason
    return None


def test_an_order_freezes_the_terminal_that_it_names() -> None:
    order, signer = check_order(USUAL.order, vacancy())
    assert order.body == order_body()
    assert (signer.role, signer.name) == (Role.ORDER, "order signer")


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        (Refusal.TERMINAL, lambda order: replace(order, serial="T-0002")),
        (Refusal.ORDER_ACCOUNTS, lambda order: replace(order, accounts=())),
        (
            Refusal.ORDER_ACCOUNTS,
            lambda order: replace(order, accounts=(Account("acquirer-a", "123456789012345", "TERM0009"),)),
        ),
        (Refusal.ORDER_STALE, lambda order: replace(order, counter=6)),
        (Refusal.ORDER_STALE, lambda order: replace(order, counter=1)),
        (Refusal.ORDER_NOT_VALID_NOW, lambda order: replace(order, not_before=NOW + 61)),
        (Refusal.ORDER_NOT_VALID_NOW, lambda order: replace(order, not_after=NOW + 59)),
        (None, lambda order: replace(order, not_before=NOW + 60, not_after=NOW + 60)),
        (None, lambda order: replace(order, counter=2**63 - 1)),
    ],
)
def test_an_order_is_judged_by_each_of_its_words(
    reason: Refusal | None, change: Callable[[Order], Order]
) -> None:
    assert order_refusal(change, HANDS.order, vacancy()) is reason


@pytest.mark.parametrize(
    ("reason", "vacant"),
    [
        (Refusal.TERMINAL, replace(vacancy(), serial="T-0002")),
        (Refusal.ORDER_STALE, replace(vacancy(), counter_of=lambda _issuer: 7)),
        (Refusal.CLOCK_IMPLAUSIBLE, replace(vacancy(), last_record_at=NOW + 60.5)),
        (Refusal.ORDER_NOT_VALID_NOW, replace(vacancy(), now=NOW - 0.5)),
        (Refusal.ISSUER_CHAIN, replace(vacancy(), anchors=type(ANCHORS)())),
        (None, replace(vacancy(), last_record_at=NOW + 60.0)),
        (None, replace(vacancy(), accounts=frozenset())),
    ],
)
def test_an_order_is_judged_by_what_the_terminal_knows(reason: Refusal | None, vacant: Vacancy) -> None:
    assert order_refusal(lambda order: order, HANDS.order, vacant) is reason


def test_an_order_must_cover_every_account_of_the_terminal_and_may_name_more() -> None:
    mine = order_body().accounts[0]
    another = replace(mine, tid="TERM0002")
    both = replace(vacancy(), accounts=frozenset({mine, another}))
    assert order_refusal(lambda order: order, HANDS.order, both) is Refusal.ORDER_ACCOUNTS
    more = order_refusal(lambda order: replace(order, accounts=(mine, another)), HANDS.order, vacancy())
    assert more is None


@pytest.mark.parametrize(
    "role", [role for role in Role if role is not Role.ORDER], ids=lambda role: role.value
)
def test_only_an_order_signer_gives_orders(role: Role) -> None:
    assert order_refusal(lambda order: order, BY_ROLE[role], vacancy()) is Refusal.ROLE


def test_an_order_with_a_broken_signature_is_refused_for_it() -> None:
    with pytest.raises(GuardRefusal, match="refused: signatures"):
        check_order(USUAL.order[:-1] + bytes([USUAL.order[-1] ^ 1]), vacancy())


def test_an_order_counter_is_that_of_the_issuer_who_signed() -> None:
    """Order 7 of one acquirer says nothing about what another has sent."""
    theirs = Identity("their order signer").hand(OTHER_ACQUIRER, Role.ORDER)
    issuer = check_order(USUAL.order, vacancy())[1].issuer_id
    vacant = replace(vacancy(), counter_of=lambda issuer_id: 7 if issuer_id == issuer else 0)
    assert order_refusal(lambda order: order, HANDS.order, vacant) is Refusal.ORDER_STALE
    assert order_refusal(lambda order: order, theirs, vacant) is None


def test_an_order_of_a_signer_whose_certificate_has_expired_is_not_valid_now() -> None:
    """The clock that judges the order's validity judges its signer's: an old key must not freeze terminals."""
    for validity in (Validity(NOW - DAY, NOW + 59), Validity(NOW + 61, NOW + DAY)):
        key = Identity("order signer").hand(ACQUIRER, Role.ORDER, validity=validity)
        assert order_refusal(lambda order: order, key, vacancy()) is Refusal.ORDER_NOT_VALID_NOW


@pytest.mark.parametrize("data", [USUAL.receipts[0], USUAL.cancellation, b"", b"\xd2"])
def test_what_is_no_order_is_refused_by_type_and_version(data: bytes) -> None:
    with pytest.raises(GuardRefusal, match="type and version"):
        check_order(data, vacancy())


# --- cancellations -------------------------------------------------------------------------------


def cancellation_refusal(
    change: Callable[[Cancellation], Cancellation], key: SigningKey, held: Holding
) -> Refusal | None:
    try:
        check_cancellation(issue(change(cancellation_body(USUAL.seal)), key), held)
    except GuardRefusal as error:
        return error.reason
    return None


def test_a_cancellation_thaws_exactly_this_seal() -> None:
    cancellation = check_cancellation(USUAL.cancellation, holding(USUAL))
    assert cancellation.body == cancellation_body(USUAL.seal)


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        (Refusal.TERMINAL, lambda body: replace(body, serial="T-0002")),
        (Refusal.SEAL, lambda body: replace(body, seal_digest=bytes(32))),
        (Refusal.SEAL, lambda body: replace(body, delivered=(Span(1, 2**32 - 1),))),
        (Refusal.SEAL, lambda body: replace(body, delivered=(Span(2, 1),))),
        (Refusal.SEAL, lambda body: replace(body, delivered=(Span(1, 1), Span(1, 1)))),
        (
            Refusal.SEAL,
            lambda body: replace(body, closed=(0, 63), next_batches=(NextBatch(0, 1), NextBatch(63, 1))),
        ),
        (Refusal.SEAL, lambda body: replace(body, closed=())),
        (Refusal.SEAL, lambda body: replace(body, next_batches=(NextBatch(63, 1),))),
        (Refusal.CHALLENGE, lambda body: replace(body, challenge=bytes(32))),
    ],
)
def test_a_cancellation_is_judged_by_each_of_its_words(
    reason: Refusal, change: Callable[[Cancellation], Cancellation]
) -> None:
    assert cancellation_refusal(change, HANDS.order, holding(USUAL)) is reason


def test_a_cancellation_may_name_the_last_item_and_close_every_context() -> None:
    def all_of_it(body: Cancellation) -> Cancellation:
        batches = (NextBatch(0, 25), NextBatch(1, 8))
        return replace(body, delivered=(Span(1, 5),), closed=(0, 1), next_batches=batches)

    def one_item_more(body: Cancellation) -> Cancellation:
        return replace(all_of_it(body), delivered=(Span(1, 6),))

    assert cancellation_refusal(all_of_it, HANDS.order, holding(USUAL)) is None
    assert cancellation_refusal(one_item_more, HANDS.order, holding(USUAL)) is Refusal.SEAL


@pytest.mark.parametrize("state", list(LifecycleState), ids=lambda state: state.name.lower())
def test_a_cancellation_works_on_a_frozen_terminal_only(state: LifecycleState) -> None:
    expected = None if state is LifecycleState.FROZEN else Refusal.STATE
    held = replace(holding(USUAL), state=state)
    assert cancellation_refusal(lambda body: body, HANDS.order, held) is expected


@pytest.mark.parametrize(
    "role", [role for role in Role if role is not Role.ORDER], ids=lambda role: role.value
)
def test_only_an_order_signer_cancels(role: Role) -> None:
    assert cancellation_refusal(lambda body: body, BY_ROLE[role], holding(USUAL)) is Refusal.ROLE


def test_another_acquirer_cancels_nothing_here() -> None:
    theirs = Identity("their order signer").hand(OTHER_ACQUIRER, Role.ORDER)
    assert cancellation_refusal(lambda body: body, theirs, holding(USUAL)) is Refusal.ISSUER_CHAIN


def test_a_cancellation_with_a_broken_signature_is_refused_for_it() -> None:
    broken = USUAL.cancellation[:-1] + bytes([USUAL.cancellation[-1] ^ 1])
    with pytest.raises(GuardRefusal, match="refused: signatures"):
        check_cancellation(broken, holding(USUAL))


@pytest.mark.parametrize("data", [USUAL.order, USUAL.receipts[0], b"", b"\xd2"])
def test_what_is_no_cancellation_is_refused_by_type_and_version(data: bytes) -> None:
    with pytest.raises(GuardRefusal, match="type and version"):
        check_cancellation(data, holding(USUAL))
