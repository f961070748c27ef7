"""What it brings to have many messages under way, over a host that is far away. Prints a table; from the repository:

    PYTHONPATH=tests python benchmarks/settlement_window.py

Virtual time: each answer arrives one round trip after its message, nothing else takes any time, so the figures are the
same on every machine. One context of 300 records in which nothing balances, with the agent's own driver. How fast the
agent itself can be is in test_bench_settlement.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from unittest.mock import patch

from any_host import Acquirer, Courier, Laptop
from posdecom_agent.dialects import DIALECTS, Dialect
from posdecom_agent.procedure import Step, carry_out
from posdecom_protocol.money import CardGroup
from posdecom_simulator.acquirer.behaviour import HostFault, Rule

RECORDS: Final = 300
WINDOWS: Final = (1, 2, 4, 8, 16)
ROUND_TRIPS_S: Final = (0.05, 0.2)
NOTHING_BALANCES: Final = tuple(Rule(HostFault.NOT_BALANCED, group=group) for group in CardGroup)


def widened(dialect: Dialect, window: int) -> Dialect:
    """With another window wherever more than one message may be under way."""
    phases = (replace(one, window=window if one.window > 1 else 1) for one in dialect.phases)
    return replace(dialect, phases=tuple(phases))


def messages_and_seconds(name: str, window: int, round_trip_s: float) -> tuple[int, float]:
    """Of the whole conversation, until the host has had everything."""
    acquirer = Acquirer.open(NOTHING_BALANCES, size=RECORDS, dialects=(name,))
    acquirer.round_trip_s = round_trip_s
    started_s = acquirer.time_s
    with patch("posdecom_agent.host.DIALECTS", {name: widened(DIALECTS[name], window)}):
        courier = Courier.to(acquirer)
        carry_out(Laptop(acquirer.case).start(), courier, lambda step, words: None, Step.SETTLE)
    return acquirer.heard, acquirer.time_s - started_s


def main() -> None:
    print("dialect  round trip  window  messages  seconds  messages/s")
    for name in DIALECTS:
        for round_trip_s in ROUND_TRIPS_S:
            for window in WINDOWS:
                messages, seconds = messages_and_seconds(name, window, round_trip_s)
                rate = messages / seconds
                print(
                    f"{name:7}  {round_trip_s * 1000:7.0f} ms  {window:6}  {messages:8}  {seconds:7.1f}  {rate:10.0f}"
                )


if __name__ == "__main__":
    main()
