"""The job whose places are enumerated, and what a set of runs is reported as."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from posdecom_protocol.documents.certificate import State
from posdecom_simulator.world.faults import FaultPlan
from posdecom_world.run import Result, run

REFERENCE_SEED = 1
"""A reversal and two sales, in two contexts."""
REFERENCE_RECORDS = 3

Report = Callable[[str, object], None]


def reference(plan: FaultPlan) -> Result:
    return run(REFERENCE_SEED, REFERENCE_RECORDS, plan=plan)


def report(record_property: Report, results: Iterable[Result]) -> Counter[str]:
    """What was done, for people; and how often each fault struck."""
    results = list(results)
    fired = sum((result.fired for result in results), Counter[str]())
    figures = {
        "runs": len(results),
        "virtual hours": round(sum(result.seconds for result in results) / 3600, 2),
        "steps": sum(result.steps for result in results),
        "exceptions": sum(result.state is State.EXCEPTIONS for result in results),
        "faults": {str(fault): count for fault, count in sorted(fired.items())},
    }
    for name, value in figures.items():
        record_property(name, value)
    print(figures)
    return fired
