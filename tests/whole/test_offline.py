"""A shop without a network: custody in the shop, settlement in the office, receipts as files, the purge at last."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posdecom_agent.catalogue import Exit
from posdecom_protocol.custody import decode_custody
from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.release import all_delivered
from posdecom_simulator.population import populate
from posdecom_simulator.site import SiteTerminal
from posdecom_world import oracle
from real_parts import SERIAL, RealParts


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[RealParts]:
    """A trading terminal and an order; no acquirer anywhere."""
    with RealParts(tmp_path, transactions=30) as real:
        real.wait_for_terminal(real.start_terminal())
        real.write_order()
        yield real


def flush(parts: RealParts, *more: object) -> Any:
    return parts.run(
        ["posdecom_agent", "flush", "--port", parts.tty, "--site", parts.site / "technician", "--order",
         parts.order_file, "--journal", parts.journal, "--confirm-serial", SERIAL, "--json", *more]
    )  # fmt: skip


def retire_by_files(parts: RealParts, *more: object) -> Any:
    return parts.run(
        ["posdecom_agent", "retire", "--port", parts.tty, "--site", parts.site / "technician", "--order",
         parts.order_file, "--journal", parts.journal, "--out", parts.out, "--confirm-serial", SERIAL, "--json",
         *more]
    )  # fmt: skip


def job(parts: RealParts) -> dict[str, Any]:
    done = parts.run(["posdecom_agent", "jobs", "--journal", parts.journal, "--json"])
    assert done.returncode == 0, done.stderr
    (only,) = json.loads(done.stdout)["jobs"]
    assert isinstance(only, dict)
    return only


def oracle_totals(parts: RealParts) -> dict[str, dict[str, dict[str, int]]]:
    """By TID and card group, from the shop's day alone; nothing was sold after the cut-off."""
    contexts = SiteTerminal.load(parts.site / "terminals" / SERIAL).settings.contexts
    day = populate(parts.seed, parts.transactions, contexts, 0)
    rules = oracle.Rules("991231235959", refunds_after=True, voids_preauths=False)
    return {
        context.tid: dict(
            zip(
                ("domestic", "foreign"),
                (one._asdict() for one in oracle.books_after(day, context.index, rules).totals()),
                strict=True,
            )
        )
        for context in contexts
    }


@pytest.mark.long
def test_a_job_goes_from_shop_to_office_and_back_with_files_only(parts: RealParts) -> None:
    flushed = flush(parts, "--out", parts.folder / "carried")
    assert flushed.returncode == 0, flushed.stderr
    document = json.loads(flushed.stdout)
    assert (document["serial"], document["next_step"]) == (SERIAL, "settle")
    assert document["items"] == document["items_in_custody"] > 30
    custody = decode_custody((parts.folder / "carried" / "custody.posdecom").read_bytes())
    assert custody.order == (parts.folder / "carried" / "order.cose").read_bytes()
    assert custody.seal == (parts.folder / "carried" / "seal.cose").read_bytes()
    assert len(custody.items) == document["items"]
    journal = Path(job(parts)["journal"])

    listed = parts.run(["posdecom_agent", "transactions", "--journal", journal, "--json"])
    totals = json.loads(listed.stdout)["totals"]
    assert {one["tid"]: one["groups"] for one in totals} == oracle_totals(parts)
    assert all(one["agree_with_the_seal"] for one in totals)

    parts.start_acquirer()
    settled = parts.run(
        ["posdecom_agent", "settle", "--journal", journal, "--host", parts.host, "--desk", parts.desk,
         "--trust", parts.site / "technician" / "anchors.pem", "--receipt-out", parts.folder / "receipts", "--json"]
    )  # fmt: skip
    assert settled.returncode == 0, settled.stderr
    assert json.loads(settled.stdout)["next_step"] == "erase"
    receipt = parts.folder / "receipts" / "receipt-1.cose"

    open_still = retire_by_files(parts, "--receipt", receipt)
    assert open_still.returncode == Exit.INCOMPLETE, open_still.stderr
    assert json.loads(open_still.stdout)["state_at_terminal"] == "complete"
    assert job(parts)["waits_for"].startswith("the acquirer's closure")

    closed = retire_by_files(parts, "--desk", parts.desk)
    assert closed.returncode == 0, closed.stderr
    assert json.loads(closed.stdout)["state"] == "complete"


def test_a_receipt_before_custody_is_complete_is_refused(parts: RealParts, tmp_path: Path) -> None:
    """Whatever it says: what is in the terminal alone is not lost yet."""
    (tmp_path / "receipt.cose").write_bytes(parts.order_file.read_bytes())
    done = retire_by_files(parts, "--receipt", tmp_path / "receipt.cose")
    assert done.returncode == Exit.FLUSH_INCOMPLETE
    assert done.stderr.splitlines()[-3].startswith("error[PD-E54]: ")
    assert job(parts)["next_step"] == "flush"


def test_the_list_is_masked_and_its_rows_add_up_to_the_seals_totals(parts: RealParts) -> None:
    flush(parts)
    journal = job(parts)["journal"]
    done = parts.run(["posdecom_agent", "transactions", "--journal", journal, "--csv"])
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    debit = {"sale", "offline sale", "adjustment", "completion"}
    for tid, groups in oracle_totals(parts).items():
        for group, expected in groups.items():
            own = [one for one in rows if (one["tid"], one["group"], one["counted"]) == (tid, group, "True")]
            debits = [int(one["amount_minor_units"]) for one in own if one["class"] in debit]
            assert (len(debits), sum(debits)) == (expected["debit_count"], expected["debit_amount"])
    contexts = SiteTerminal.load(parts.site / "terminals" / SERIAL).settings.contexts
    for one in populate(parts.seed, parts.transactions, contexts, 0):
        assert one.card_number not in done.stdout


def test_settling_before_the_flush_is_refused(parts: RealParts) -> None:
    parts.journal.mkdir(mode=0o700)
    early = retire_by_files(parts, "--receipt", parts.order_file)
    assert early.returncode == Exit.FLUSH_INCOMPLETE
    settled = parts.run(
        ["posdecom_agent", "settle", "--journal", job(parts)["journal"], "--host", "127.0.0.1:1"]
    )
    assert settled.returncode == Exit.FLUSH_INCOMPLETE
    assert settled.stderr.splitlines()[-3].startswith("error[PD-E54]: ")


@pytest.mark.long
def test_a_closed_job_is_purged_once_its_retention_date_has_come(parts: RealParts) -> None:
    parts.start_acquirer()
    assert parts.retire().returncode == 0
    (journal,) = parts.journal.glob("*.journal")
    tomorrow = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86_400))
    too_early = parts.run(["posdecom_agent", "purge", "--journal", journal, "--retain-until", tomorrow])
    assert too_early.returncode == Exit.DECLINED
    assert too_early.stderr.splitlines()[-3].startswith("error[PD-E56]: ")
    purged = parts.run(
        ["posdecom_agent", "purge", "--journal", journal, "--retain-until", "2020-01-01T00:00:00Z"]
    )
    assert purged.returncode == 0, purged.stderr
    assert job(parts)["purged"] is True
    assert parts.retire().returncode == 0


def sign(parts: RealParts, command: str, signer: str, out: Path, *more: object, exit_code: int = 0) -> Path:
    """The acquirer's tool for receipts, as ``signer``."""
    keys = parts.site / "acquirer" / signer
    done = parts.run(
        ["posdecom_agent", "receipt", command, *more, "--key", f"{keys}.key", "--certificate", f"{keys}.pem", "--out",
         out]
    )  # fmt: skip
    assert done.returncode == exit_code, done.stderr
    return out


def test_with_a_dead_host_two_signers_accept_the_loss_and_the_certificate_says_what_was_lost(
    parts: RealParts,
) -> None:
    carried = parts.folder / "carried"
    flushed = flush(parts, "--out", carried)
    assert flushed.returncode == 0, flushed.stderr
    seal = open_document((carried / "seal.cose").read_bytes(), Seal).body
    lost = {context.index: all_delivered(context).delivered for context in seal.contexts}
    given_up = [
        word
        for index, tally in lost.items()
        for word in ("--undelivered", f"{index}:{tally.count}:{tally.amount}")
    ]
    over = ("--order", carried / "order.cose", "--seal", carried / "seal.cose")
    issuer = ("--issuer", "Demo Acquirer")
    first = sign(
        parts,
        "new",
        "release",
        parts.folder / "one.cose",
        *over,
        *issuer,
        "--exception",
        "--custody",
        carried / "custody.posdecom",
        *given_up,
    )
    alone = retire_by_files(parts, "--receipt", first)
    assert alone.returncode == Exit.ERASE_REFUSED
    assert alone.stderr.splitlines()[-3].startswith("error[PD-E55]: ")
    assert retire_by_files(parts, "--receipt", first, "--receipt", first).returncode == Exit.ERASE_REFUSED
    judged = (first, *over, "--trust", parts.site / "technician" / "anchors.pem")
    twice = sign(parts, "sign", "release", parts.folder / "2.cose", *judged, exit_code=Exit.FORGED)
    assert not twice.exists()
    second = sign(parts, "sign", "approver", parts.folder / "two.cose", *judged)

    parts.start_acquirer()
    done = retire_by_files(parts, "--receipt", first, "--receipt", second, "--desk", parts.desk)
    assert done.returncode == Exit.COMPLETE_WITH_EXCEPTIONS, done.stderr
    texts = [finding["text"] for finding in json.loads(done.stdout)["findings"]]
    assert "released by exception, with two acquirer signatures" in texts
    for context in seal.contexts:
        tally, currency = lost[context.index], {156: "CNY", 344: "HKD"}[context.currency]
        name = f"account {context.mid} {context.tid}, batch {context.batch:06d}"
        amount = f"{tally.amount // 100:,}.{tally.amount % 100:02d} {currency}"
        assert f"{name}: {tally.count} transactions, {amount} not delivered" in texts


def thaw(parts: RealParts, cancellation: Path) -> Any:
    return parts.run(
        ["posdecom_agent", "thaw", "--port", parts.tty, "--site", parts.site / "technician", "--cancellation",
         cancellation, "--json"]
    )  # fmt: skip


def cancel(parts: RealParts, seal: Path, out: Path, signer: str = "order") -> Path:
    keys = parts.site / "acquirer" / signer
    done = parts.run(
        ["posdecom_agent", "order", "cancel", "--seal", seal, "--issuer", "Demo Acquirer", "--reason",
         "the appeal was won", "--delivered", "1-2", "--closed", "0", "--next-batch", "0:500", "--key", f"{keys}.key",
         "--certificate", f"{keys}.pem", "--out", out]
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.long
def test_a_cancellation_by_file_lets_the_terminal_trade_until_a_new_order_comes(parts: RealParts) -> None:
    carried = parts.folder / "carried"
    assert flush(parts, "--out", carried).returncode == 0
    wrong = cancel(parts, carried / "seal.cose", parts.folder / "wrong.cose", "release")
    refused = thaw(parts, wrong)
    assert refused.returncode == Exit.FORGED, refused.stderr
    good = cancel(parts, carried / "seal.cose", parts.folder / "cancellation.cose")
    thawed = thaw(parts, good)
    assert thawed.returncode == 0, thawed.stderr
    assert json.loads(thawed.stdout) == {"schema": "posdecom/thaw/1", "serial": SERIAL}
    again = thaw(parts, good)
    assert again.returncode == Exit.ERASE_REFUSED
    assert again.stderr.splitlines()[-3].startswith("error[PD-E64]: ")
    looked = parts.run(
        ["posdecom_agent", "info", "--port", parts.tty, "--site", parts.site / "technician", "--json"]
    )
    inventory = json.loads(looked.stdout)
    assert inventory["state"] == "active"
    assert inventory["contexts"][0]["batch"] == 500
    parts.write_order(counter=2)
    assert flush(parts).returncode == 0
