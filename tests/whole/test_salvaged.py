"""A terminal that was tampered with while it traded, on real parts: its records, its money, its certificate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posdecom_agent.catalogue import Exit
from posdecom_protocol.custody import decode_salvage
from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.certificate import Certificate
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.verdict import split
from posdecom_simulator.site import SiteTerminal
from real_parts import SERIAL, RealParts

pytestmark = pytest.mark.long
TRANSACTIONS = 40


def retire(parts: RealParts, *more: object, code: int) -> Any:
    done = parts.run(
        ["posdecom_agent", "retire", "--port", parts.tty, "--site", parts.site / "technician", "--order",
         parts.order_file, "--journal", parts.journal, "--out", parts.out, "--confirm-serial", SERIAL, *more, "--json"]
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def tampered(parts: RealParts) -> None:
    process = parts.start_terminal()
    parts.wait_for_terminal(process)
    process.kill()
    process.wait()
    done = parts.run(["posdecom_simulator", "tamper", "--state", parts.folder / "terminal"])
    assert done.returncode == 0, done.stderr
    parts.wait_for_terminal(parts.start_terminal())


def test_what_a_tampered_terminal_had_sold_ends_in_custody_and_in_the_acquirers_hands(tmp_path: Path) -> None:
    with RealParts(tmp_path, transactions=TRANSACTIONS) as parts:
        parts.start_acquirer()
        tampered(parts)
        keys = SiteTerminal.load(parts.site / "terminals" / SERIAL).keys.initial_key_id
        parts.write_order(revoke=(bytes(keys),))
        capture = parts.folder / "line.pcapng"
        trouble = retire(parts, "--desk", parts.desk, "--capture", capture, code=Exit.ERASE_REFUSED)
        assert trouble["code"] == "PD-E66" and "TAMPERED" in trouble["cause"]
        assert f"{TRANSACTIONS} records are in custody" in trouble["cause"]
        assert any("--absent" in line for line in trouble["next_actions"])

        for process in parts.processes[1:]:
            process.kill()  # the terminal is in custody; nobody needs it any more
        carried = retire(parts, "--absent", code=Exit.UNATTESTED)
        _, records = decode_salvage(Path(carried["files"]["salvage"]).read_bytes())
        shown = capture.read_bytes()
        assert len(records) == TRANSACTIONS and not any(one[2:60] in shown for one in records)
        closed = retire(parts, "--absent", "--desk", parts.desk, code=Exit.UNATTESTED)
        assert "salvage" not in closed["files"]
        texts = [finding["text"] for finding in closed["findings"]]
        assert any(f"{TRANSACTIONS} records salvaged, unsigned" in text for text in texts)
        assert any("booked alike" in text for text in texts)

        certificate, closure = split((parts.out / "certificate.posdecom").read_bytes())
        salvage = open_document(certificate, Certificate).body.salvage
        assert salvage is not None and salvage.count == TRANSACTIONS
        remark = open_document(closure, Closure).body.remark
        assert "0 without a good MAC" in remark and "0 booked otherwise" in remark
        assert "0 only in the books" in remark and " not booked (" in remark
