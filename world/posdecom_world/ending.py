"""What a run must have come to: money, keys and paper, with a terminal or, where a tamper left none, without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posdecom_agent.job import Job
from posdecom_protocol.documents.certificate import State
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.verdict import judge

from . import invariants

if TYPE_CHECKING:
    from .run import World


class Unfinished(AssertionError):
    """The job did not come to its end, or not to the right one."""


def judge_end(world: World, job: Job) -> State:
    """What the certificate of a finished job amounts to; the money, the keys and the paper, each at its place."""
    world.memory.look()
    certificate, closure = job.certificate, job.closure
    if certificate is None or closure is None:
        raise Unfinished("no certificate or no closure")
    world.check(invariants.no_card_number, world.canary, certificate, "in the certificate")
    state = judge(certificate + closure, world.scene.site.technician.anchors).state
    if job.is_absent:
        _without_terminal(world, job, state)
    else:
        _with_terminal(world, job, state)
    return state


def _with_terminal(world: World, job: Job, state: State) -> None:
    world.check(invariants.no_secret_is_left, world.memory.readout.secrets(), world.scene)
    wanted = LifecycleState.RETIRED if world.scene.retires else LifecycleState.BLANK
    _require(world.memory.state is wanted, f"the terminal is not {wanted.name}")
    _money_is_settled(world, job)
    _require(state in (State.COMPLETE, State.EXCEPTIONS), f"the certificate amounts to {state.name}")


def _without_terminal(world: World, job: Job, state: State) -> None:
    """Nobody can attest anything; the money is settled as it was sealed, or salvaged as it was sold."""
    _require(world.terminal.is_tampered, "certified without a terminal that could have been erased")
    if job.receipts:
        _money_is_settled(world, job)
    else:
        world.check(invariants.books_begin_as_sold, world.ledger, world.scene)
        world.check(invariants.salvage_is_what_was_sold, job.salvage, world.scene)
    wanted = State.INCOMPLETE if job.receipts else State.UNATTESTED
    _require(state is wanted, f"the certificate amounts to {state.name}")


def _money_is_settled(world: World, job: Job) -> None:
    world.books_are_complete()
    world.check(invariants.receipt_says_what_the_books_say, job.receipts[0], world.scene, world.refused)


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise Unfinished(reason)
