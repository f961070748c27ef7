"""The whole job with real processes: both dialects, TLS, and an acquirer that a scenario file makes misbehave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posdecom_agent.catalogue import Exit
from posdecom_protocol.money import TransactionClass
from posdecom_simulator.acquirer.ledger import Ledger, SqliteStore
from real_parts import RealParts

CUP_BATCH = ("15600001", 1)
SCENARIO = """
[[fault]]
do = "not balanced"
group = "domestic"

[[fault]]
do = "cut inside the answer"
at = [2, 9]

[[fault]]
do = "answer twice"
mti = ["0320"]

[[fault]]
do = "restart"
mti = ["0500"]
at = [1]

[[fault]]
do = "forget"
mti = ["0320"]
at = [4]
messages = 3
"""


@pytest.mark.long
def test_a_job_in_both_dialects_over_tls_and_a_misbehaving_host_is_complete(tmp_path: Path) -> None:
    scenario = tmp_path / "bad-day.toml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    options = ("--host-tls", "--scenario", scenario)
    with RealParts(tmp_path, transactions=30, dialects=("cup", "edc"), acquirer_options=options) as parts:
        parts.wait_for_terminal(parts.start_terminal())
        parts.start_acquirer()
        assert parts.host.startswith("tls://127.0.0.1:")
        parts.write_order()
        done = parts.retire()
        assert done.returncode == Exit.DONE, done.stderr
        assert json.loads(done.stdout)["state"] == "complete"
    assert_batches_ended_after_uploads(tmp_path)


def assert_batches_ended_after_uploads(folder: Path) -> None:
    store = SqliteStore(folder / "acquirer" / "books.sqlite")
    ledger = Ledger(store)
    store.close()
    for batch in (CUP_BATCH, ("34400001", 1)):
        end = ledger.batch_end(*batch)
        assert end is not None
        assert not end.balanced
        # a cup terminal announces what its chips declined with the details; an edc terminal told it before the totals
        proofs = ledger.proofs(*batch).values() if batch == CUP_BATCH else ()
        declined = sum(one.transaction_class is TransactionClass.DECLINED for one in proofs)
        assert ledger.upload_count(*batch) + declined == end.uploads_announced > 0


@pytest.mark.long
def test_an_edc_terminal_is_retired_and_a_wrong_ca_leaves_it_where_it_was(tmp_path: Path) -> None:
    with (
        RealParts(tmp_path, transactions=20, dialects=("edc",), acquirer_options=("--host-tls",)) as parts,
        RealParts(tmp_path / "other", seed=2) as other,
    ):
        parts.wait_for_terminal(parts.start_terminal())
        parts.start_acquirer()
        parts.write_order()
        ca_file = parts.site / "technician" / "host_ca.pem"
        good = ca_file.read_bytes()
        ca_file.write_bytes((other.site / "technician" / "host_ca.pem").read_bytes())
        refused = parts.retire()
        assert refused.returncode == Exit.FLUSH_INCOMPLETE
        assert refused.stderr.splitlines()[-3].startswith("error[PD-E58]: ")
        ca_file.write_bytes(good)
        done = parts.retire()
        assert done.returncode == Exit.DONE, done.stderr
