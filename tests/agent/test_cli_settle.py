"""`posdecom settle`: what it says, and with which exit code it ends, where the host refused something."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from document_chain import ANCHORS
from posdecom_agent.catalogue import Exit
from posdecom_agent.cli import main
from posdecom_agent.job import Job
from posdecom_agent.journal import SqliteJournal
from posdecom_protocol.iso8583 import decode
from posdecom_protocol.records import ItemKind
from posdecom_simulator.acquirer.behaviour import Behaviour, HostFault, Rule, Scenario
from posdecom_simulator.acquirer.delivery import Delivery, deliver
from posdecom_simulator.acquirer.desk import Answer, Desk
from posdecom_simulator.acquirer.serve import _DeskServer, _HostServer
from release_case import LATER, Case, open_case


@dataclass
class CaseClerk:
    case: Case
    behaviour: Behaviour

    def host_hears(self, message: bytes) -> Delivery:
        return deliver(self.case.host, self.behaviour, message, LATER)

    def desk_answer(self, call: Callable[[Desk], Answer]) -> Answer:
        return call(self.case.desk)


@dataclass
class Office:
    """A job in custody, and the acquirer's addresses."""

    case: Case
    journal: Path
    trust: Path
    host: str
    desk: str
    capsys: pytest.CaptureFixture[str]

    def settle(self, *more: str) -> tuple[int, dict[str, Any]]:
        """Exit code and document."""
        with pytest.raises(SystemExit) as caught:
            main(["settle", "--journal", str(self.journal), "--host", self.host, "--json", *more])
        assert isinstance(caught.value.code, int)
        return caught.value.code, json.loads(self.capsys.readouterr().out)

    def ask_desk(self) -> tuple[int, dict[str, Any]]:
        return self.settle("--desk", self.desk, "--trust", str(self.trust))


@contextmanager
def office(folder: Path, capsys: pytest.CaptureFixture[str], *rules: Rule) -> Iterator[Office]:
    behaviour = Scenario(rules)
    case = open_case(count=30, behaviour=behaviour)
    path, trust = folder / "jobs" / "one.journal", folder / "trust.pem"
    trust.write_bytes(ANCHORS.pem())
    journal = SqliteJournal.open(path)
    job = Job(journal)
    job.begin(case.order)
    job.keep_seal(case.seal)
    job.keep_items(1, case.items)
    journal.close()
    clerk: Any = CaseClerk(case, behaviour)
    with _HostServer(("127.0.0.1", 0), clerk) as host, _DeskServer(("127.0.0.1", 0), clerk) as desk:
        threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in (host, desk)]
        for thread in threads:
            thread.start()
        addresses = [f"127.0.0.1:{server.server_address[1]}" for server in (host, desk)]
        try:
            yield Office(case, path, trust, addresses[0], f"http://{addresses[1]}", capsys)
        finally:
            for server, thread in zip((host, desk), threads, strict=True):
                server.shutdown()
                thread.join()


def item_of(case: Case, kind: ItemKind) -> tuple[int, int]:
    """Sequence and STAN of the first of its kind."""
    items = enumerate(case.shop.prepared.items, 1)
    sequence, item = next((sequence, item) for sequence, item in items if item.kind is kind)
    return sequence, int(decode(item.message).text(11))


def test_where_nothing_was_refused_settling_without_a_desk_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with office(tmp_path, capsys) as one:
        code, document = one.settle()
    assert (code, document["refused"], document["next_step"]) == (Exit.DONE, [], "agree")


@pytest.mark.parametrize("kind", [ItemKind.ADVICE, ItemKind.TOTALS])
def test_what_was_refused_ends_with_21_until_the_desk_has_signed(
    kind: ItemKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sequence, stan = item_of(open_case(count=30), kind)
    with office(tmp_path, capsys, Rule(HostFault.REFUSE, stan=frozenset({stan}), code="51")) as one:
        for _ in range(2):
            code, document = one.settle()
            assert (code, document["next_step"]) == (Exit.MISMATCH, "agree")
            assert {"item": sequence, "code": "51"} in document["refused"]
        with pytest.raises(SystemExit):
            main(["settle", "--journal", str(one.journal), "--host", one.host])
        said = one.capsys.readouterr().out
        assert "waits for the acquirer's receipt" in said
        assert f"refused by the host, for the release desk to judge: items {sequence} (51)" in said
        code, document = one.ask_desk()
    assert code == Exit.DONE


def test_a_tls_host_without_a_ca_is_a_wrong_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with office(tmp_path, capsys) as one:
        one.host = f"tls://{one.host}"
        code, document = one.settle()
        assert code == Exit.USAGE
        assert "--host-ca" in document["message"]
