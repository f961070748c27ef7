"""A migration: nothing is erased before the terminal that takes over was met and is what the order says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from document_chain import ANCHORS, BY_ROLE, NOW
from posdecom_agent.catalogue import Exit
from posdecom_agent.job import Job
from posdecom_agent.procedure import Step, carry_out, next_step
from posdecom_agent.replacement import (
    POINT,
    Introduced,
    Introduction,
    NotThere,
    Replacement,
    SomebodyElse,
    case_point,
    checked,
    decode_replacement,
    encode_replacement,
)
from posdecom_agent.trouble import Trouble
from posdecom_protocol.certificates import Role, validate
from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.certificate import Certificate, Standing
from posdecom_protocol.documents.order import Account, Order
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import ContextInfo, Inventory
from release_case import Case, CaseStations, begin_job, open_case

NEW = "T-0002"
ACCOUNT = Account("acquirer-a", "123456789012345", "TERM0009")
PEER = replace(
    validate(BY_ROLE[Role.TERMINAL_CHANNEL].chain, ANCHORS, Role.TERMINAL_CHANNEL, None), serial_number=NEW
)
INVENTORY = Inventory(
    state=LifecycleState.ACTIVE,
    tampered=False,
    serial=NEW,
    manufacturer="Maker",
    model="PD-2",
    software_version="2.0",
    boot_count=1,
    clock_s=NOW,
    slots=(),
    contexts=(ContextInfo(0, ACCOUNT.acquirer, ACCOUNT.mid, ACCOUNT.tid, 156, 1, 0, 0),),
)
THERE = Introduced(PEER, INVENTORY, NOW + 7000)


def names_replacement(order: Order) -> Order:
    return replace(order, replacement=NEW, replacement_accounts=(ACCOUNT,))


def migration(introduction: Introduction) -> tuple[Case, Job, CaseStations]:
    case = open_case(count=12, order_changes=names_replacement)
    return case, begin_job(case), CaseStations(case, replacement=introduction)


def walk(job: Job, stations: CaseStations) -> None:
    carry_out(job, stations, lambda step, words: None)


def test_the_replacement_is_met_before_the_erase_and_stands_in_the_certificate() -> None:
    _, job, stations = migration(THERE)
    walk(job, stations)
    assert next_step(job) is Step.DONE
    assert job.replacement == Replacement(NEW, "PD-2", PEER.key_id, (ACCOUNT,), NOW + 7000)
    assert job.certificate is not None
    points = {one.point: one for one in open_document(job.certificate, Certificate).body.case}
    assert points[POINT].standing is Standing.PROVED
    for word in (NEW, PEER.key_id.hex(), "acquirer-a/123456789012345/TERM0009", "2027-01-15 09:56 UTC"):
        assert word in points[POINT].text


WRONG: dict[str, tuple[Introduction, int, str]] = {
    "nobody there": (
        NotThere("no --replacement-port was given"),
        Exit.FLUSH_INCOMPLETE,
        "no --replacement-port",
    ),
    "another terminal": (SomebodyElse("T-0003"), Exit.NO_TERMINAL, "found T-0003, the order names T-0002"),
    "a certificate of another": (
        replace(THERE, peer=replace(PEER, serial_number="T-0003")),
        Exit.NO_TERMINAL,
        "are of two terminals",
    ),
    "frozen": (
        replace(THERE, inventory=replace(INVENTORY, state=LifecycleState.FROZEN)),
        Exit.NO_TERMINAL,
        "it is not in service, but FROZEN",
    ),
    "tampered": (
        replace(THERE, inventory=replace(INVENTORY, tampered=True)),
        Exit.NO_TERMINAL,
        "tampered with",
    ),
    "without the numbers": (
        replace(THERE, inventory=replace(INVENTORY, contexts=())),
        Exit.NO_TERMINAL,
        "it does not hold the numbers acquirer-a/123456789012345/TERM0009",
    ),
    "a model that no record can hold": (
        replace(THERE, inventory=replace(INVENTORY, model="")),
        Exit.NO_TERMINAL,
        "replacement.model: must be text of 1 to 80 characters",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_without_it_the_job_waits_by_name_and_no_erase_is_asked_for(name: str) -> None:
    introduction, code, cause = WRONG[name]
    case, job, stations = migration(introduction)
    with pytest.raises(Trouble) as caught:
        walk(job, stations)
    assert (caught.value.exit, next_step(job)) == (code, Step.REPLACE)
    assert cause in caught.value.cause
    assert (job.erase_was_started, job.evidence, job.replacement) == (False, None, None)
    walk(job, CaseStations(case, replacement=THERE))
    assert next_step(job) is Step.DONE


def test_it_is_met_once_and_not_again_after_a_cut() -> None:
    case, job, stations = migration(THERE)
    carry_out(job, stations, lambda step, words: None, Step.REPLACE)
    assert next_step(job) is Step.ERASE
    again = CaseStations(case)
    walk(job, again)
    assert not any(asked.startswith("meet") for asked in again.asked)


def test_an_order_that_names_none_meets_nobody() -> None:
    case = open_case(count=12)
    job, stations = begin_job(case), CaseStations(case)
    walk(job, stations)
    assert (job.replacement, [one for one in stations.asked if one.startswith("meet")]) == (None, [])


def test_an_order_that_names_the_terminal_itself_is_refused() -> None:
    case = open_case(order_changes=lambda order: replace(order, replacement=order.serial))
    order = open_document(case.order, Order).body
    serial: dict[str, Any] = {"serial": order.serial}
    itself = replace(
        THERE, peer=replace(PEER, serial_number=order.serial), inventory=replace(INVENTORY, **serial)
    )
    with pytest.raises(Trouble, match="PD-E65") as caught:
        checked(order, itself)
    assert caught.value.cause == "the order names the same terminal twice"


def test_what_was_checked_survives_the_journal_and_a_long_list_is_shortened() -> None:
    many = Replacement(NEW, "PD-2", bytes(8), (ACCOUNT,) * 64, NOW)
    assert decode_replacement(encode_replacement(many)) == many
    assert len(case_point(many).text) == 400
