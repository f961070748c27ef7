"""A host that misbehaves by a file: what the file may say, and what each fault does to a message and its answer."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from posdecom_protocol.errors import MessageError
from posdecom_protocol.iso8583 import LengthPrefix, decode
from posdecom_protocol.money import CardGroup
from posdecom_protocol.records import ItemKind
from posdecom_simulator.acquirer.behaviour import HostFault, Rule, Scenario
from posdecom_simulator.acquirer.delivery import Delivery, Said, deliver
from posdecom_simulator.acquirer.host import Host
from posdecom_simulator.acquirer.ledger import Ledger
from posdecom_simulator.acquirer.scenario import ScenarioError, read_scenario, rules_from
from posdecom_simulator.commands.acquirer import command
from shop import CONTEXTS, START_S, open_acquirer, open_shop

PAGE = Path(__file__).parents[2] / "docs" / "settlement.md"
NOW = START_S + 86_400.0
SHOP = open_shop(seed=5, count=80)
ADVICES = [item.message for item in SHOP.prepared.items if item.kind is ItemKind.ADVICE and item.context == 0]
TOTALS = next(item.message for item in SHOP.prepared.items if item.kind is ItemKind.TOTALS)

# --- the file


def example() -> str:
    (found,) = re.findall(r"```toml scenario\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert isinstance(found, str)
    return found


def test_the_example_in_the_docs_is_a_scenario_of_four_rules(tmp_path: Path) -> None:
    path = tmp_path / "bad-day.toml"
    path.write_text(example(), encoding="utf-8")
    assert read_scenario(path) == [
        Rule(HostFault.TIMEOUT_AFTER, mti=frozenset({"0220"}), at=frozenset({1, 2})),
        Rule(HostFault.REFUSE, stan=frozenset({678663}), code="51"),
        Rule(HostFault.NOT_BALANCED, group=CardGroup.DOMESTIC),
        Rule(HostFault.FORGET, mti=frozenset({"0320"}), at=frozenset({1}), messages=5),
    ]


def test_the_table_in_the_docs_names_every_fault_and_no_other() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## A host that misbehaves")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`([^`]*)`", row)]
    assert sorted(set(named) - {"do"}) == sorted(HostFault)


@pytest.mark.parametrize("fault", HostFault)
def test_every_fault_can_be_written(fault: HostFault) -> None:
    more = 'group = "foreign"' if fault is HostFault.NOT_BALANCED else ""
    (rule,) = rules_from(tomllib.loads(f'[[fault]]\ndo = "{fault}"\n{more}'))
    assert rule.fault is fault


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"a scenario is 1 to 1000 tables \[\[fault\]\] and nothing else"),
        ("[host]", r"a scenario is 1 to 1000 tables"),
        ('fault = ["silence"]', r"fault 1 is no table: write \[\[fault\]\]"),
        ('[[fault]]\ndo = "explode"', "fault 1: do is none of: silence, time-out before commit,"),
        ('[[fault]]\nmti = ["0220"]', "fault 1: do is none of"),
        ('[[fault]]\ndo = "silence"\ncode = "05"', r"fault 1 \(silence\) takes no code, only: at, mti, stan"),
        ('[[fault]]\ndo = "silence"\n[[fault]]\ndo = "refuse"\ncode = "555"', r"fault 2 \(refuse\): code is not two"),
        ('[[fault]]\ndo = "refuse"\nmti = "0220"', r"fault 1 \(refuse\): mti is not a list of message types"),
        ('[[fault]]\ndo = "refuse"\nmti = []', "mti is not a list"),
        ('[[fault]]\ndo = "refuse"\nstan = [0]', "stan is not a list of numbers from 1 to 999999"),
        ('[[fault]]\ndo = "refuse"\nat = [true]', "at is not a list of numbers from 1 on"),
        ('[[fault]]\ndo = "late answer"\ndelay_s = 1e9', "delay_s is not seconds, 0 to 3600"),
        ('[[fault]]\ndo = "forget"\nmessages = 0', "messages is not a number from 1 to 9999"),
        ('[[fault]]\ndo = "cut inside the answer"\nbytes = -1', "bytes is not a number from 0 to 2000"),
        ('[[fault]]\ndo = "contradicting answer"\nlie_first = 1', "lie_first is not true or false"),
        ('[[fault]]\ndo = "not balanced"', r"\(not balanced\) needs group: domestic or foreign"),
        ('[[fault]]\ndo = "not balanced"\ngroup = "both"', "group is not domestic or foreign"),
        ('[[fault]]\ndo = "not balanced"\ngroup = ["x"]', "group is not domestic or foreign"),
        ("[[fault", "is no TOML"),
    ],
)  # fmt: skip
def test_what_is_no_scenario_is_refused_with_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "bad-day.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError, match=complaint) as caught:
        read_scenario(path)
    assert str(caught.value).startswith(str(path))


def test_the_command_says_what_is_wrong_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "bad-day.toml"
    path.write_text('[[fault]]\ndo = "explode"', encoding="utf-8")
    common = [
        "--site",
        str(tmp_path),
        "--host",
        "127.0.0.1:0",
        "--desk",
        "127.0.0.1:0",
        "--state",
        str(tmp_path),
    ]
    done = CliRunner().invoke(command, [*common, "--scenario", str(path)])
    assert done.exit_code == 2
    assert "fault 1: do is none of" in " ".join(done.output.split())


# --- what each does


class Bench:
    """One host with these faults, and what comes of each message."""

    def __init__(self, *rules: Rule) -> None:
        self.scenario = Scenario(rules)
        host, ledger = open_acquirer(SHOP, self.scenario)
        self.host: Host = host
        self.ledger: Ledger = ledger

    def deliver(self, data: bytes) -> Delivery:
        return deliver(self.host, self.scenario, data, NOW)

    def has(self, data: bytes) -> bool:
        """Whether the books have the transaction of an advice."""
        place = int(decode(data).text(11))
        batch = CONTEXTS[0].tid, CONTEXTS[0].batch
        return place in {one.stan for one in self.ledger.postings(*batch)}


def codes(delivery: Delivery) -> list[str]:
    return [decode(said.wire[2:]).text(39) for said in delivery.said]


def test_an_honest_host_delivers_one_answer() -> None:
    bench = Bench()
    delivery = bench.deliver(ADVICES[0])
    assert codes(delivery) == ["00"]
    assert delivery == Delivery((Said(delivery.said[0].wire),))


@pytest.mark.parametrize(
    ("fault", "delivery", "is_booked"),
    [
        (HostFault.SILENCE, Delivery(goes_silent=True), False),
        (HostFault.TIMEOUT_BEFORE, Delivery(), False),
        (HostFault.TIMEOUT_AFTER, Delivery(), True),
        (HostFault.HANG_UP, Delivery(hangs_up=True), False),
        (HostFault.RESTART, Delivery(restarts=True, hangs_up=True), False),
    ],
)
def test_what_is_not_answered_is_booked_or_not(fault: HostFault, delivery: Delivery, is_booked: bool) -> None:
    bench = Bench(Rule(fault, at=frozenset({1})))
    assert bench.deliver(ADVICES[0]) == delivery
    assert bench.has(ADVICES[0]) is is_booked
    assert codes(bench.deliver(ADVICES[0])) == ["94" if is_booked else "00"]


def test_an_answer_that_is_cut_ends_with_the_connection() -> None:
    whole = Bench().deliver(ADVICES[0]).said[0].wire
    for rule, kept in ((Rule(HostFault.CUT), len(whole) // 2), (Rule(HostFault.CUT, bytes=1), 1)):
        bench = Bench(rule)
        assert bench.deliver(ADVICES[0]) == Delivery((Said(whole[:kept]),), hangs_up=True)
        assert bench.has(ADVICES[0])


def test_late_twice_and_contradicting_answers() -> None:
    (late,) = Bench(Rule(HostFault.LATE, delay_s=3.0)).deliver(ADVICES[0]).said
    assert late.after_s == 3.0
    assert codes(Bench(Rule(HostFault.TWICE)).deliver(ADVICES[0])) == ["00", "00"]
    assert codes(Bench(Rule(HostFault.CONTRADICTION, code="51")).deliver(ADVICES[0])) == ["00", "51"]
    assert codes(Bench(Rule(HostFault.CONTRADICTION, lie_first=True)).deliver(ADVICES[0])) == ["05", "00"]
    refusing = Bench(Rule(HostFault.REFUSE, code="14"), Rule(HostFault.CONTRADICTION))
    assert codes(refusing.deliver(ADVICES[0])) == ["14", "00"]


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        (HostFault.BAD_TPDU, "TPDU is not"),
        (HostFault.BAD_HEADER, "header is not"),
        (HostFault.TRUNCATED, "field"),
        (HostFault.UNKNOWN, None),
    ],
)
def test_a_damaged_answer_is_one_whole_message_that_is_wrong(fault: HostFault, complaint: str | None) -> None:
    bench = Bench(Rule(fault))
    (said,) = bench.deliver(ADVICES[0]).said
    (message,) = LengthPrefix().receive(said.wire)
    if complaint is None:
        assert decode(message).mti == "0999"
    else:
        with pytest.raises(MessageError, match=complaint):
            decode(message)
    assert bench.has(ADVICES[0])


def test_an_over_long_answer_has_a_length_that_no_message_has() -> None:
    (said,) = Bench(Rule(HostFault.OVERLONG)).deliver(ADVICES[0]).said
    with pytest.raises(MessageError, match="length prefix of 2001 bytes"):
        LengthPrefix().receive(said.wire)


@pytest.mark.parametrize("group", CardGroup)
def test_one_group_alone_can_be_out_of_balance(group: CardGroup) -> None:
    bench = Bench(Rule(HostFault.NOT_BALANCED, group=group))
    for one in bench_messages_before_totals():
        bench.deliver(one)
    (said,) = bench.deliver(TOTALS).said
    digits = decode(said.wire[2:]).text(48)
    assert digits[30] + digits[61] == ("21" if group is CardGroup.DOMESTIC else "12")


def bench_messages_before_totals() -> Iterator[bytes]:
    return (
        item.message
        for item in SHOP.prepared.items[: [one.message for one in SHOP.prepared.items].index(TOTALS)]
    )


def test_a_fault_strikes_the_messages_that_it_names() -> None:
    stan = int(decode(ADVICES[2]).text(11))
    bench = Bench(Rule(HostFault.REFUSE, stan=frozenset({stan})), Rule(HostFault.TWICE, at=frozenset({2})))
    found = [codes(bench.deliver(one)) for one in ADVICES[:3]]
    assert found == [["00"], ["00", "00"], ["05"]]
    bench.scenario.is_calm = True
    assert codes(bench.deliver(ADVICES[2])) == ["05"], "the host's word stands"
    assert codes(Bench(Rule(HostFault.REFUSE, mti=frozenset({"0500"}))).deliver(ADVICES[0])) == ["00"]


def test_what_is_forgotten_is_new_when_it_comes_again_and_what_was_sold_online_is_never_forgotten() -> None:
    bench = Bench(Rule(HostFault.FORGET, at=frozenset({4}), messages=2))
    for one in ADVICES[:3]:
        bench.deliver(one)
    online = Bench().ledger.postings(CONTEXTS[0].tid, CONTEXTS[0].batch)
    assert codes(bench.deliver(ADVICES[1])) == ["00"], "forgotten, so not a duplicate"
    assert [bench.has(one) for one in ADVICES[:3]] == [True, True, False]
    bench.host.forget(9999)
    assert bench.ledger.postings(CONTEXTS[0].tid, CONTEXTS[0].batch) == online
    again: Any = Ledger(bench.ledger._store)
    assert again.postings(CONTEXTS[0].tid, CONTEXTS[0].batch) == online


def test_bytes_that_are_no_message_strike_nothing() -> None:
    bench = Bench(Rule(HostFault.TWICE, at=frozenset({1})))
    assert bench.deliver(b"garbage" * 4) == Delivery()
    assert codes(bench.deliver(ADVICES[0])) == ["00", "00"]
