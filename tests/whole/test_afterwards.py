"""What follows the receipt, on real parts: migrations, closures as files, held money, an appeal that was won."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posdecom_agent.catalogue import Exit
from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.certificate import Certificate, Standing
from posdecom_protocol.documents.order import AfterCutoff
from posdecom_protocol.verdict import split
from posdecom_simulator.site import SiteTerminal
from real_parts import SERIAL, RealParts

pytestmark = pytest.mark.long
NEW = "PD-000002"


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[RealParts]:
    with RealParts(tmp_path, terminals=2) as real:
        real.start_acquirer()
        real.wait_for_terminal(real.start_terminal())
        yield real


def ask(parts: RealParts, command: str, *more: object, code: int = Exit.DONE) -> Any:
    """A command with --json; its document."""
    done = parts.run(["posdecom_agent", *command.split(), *more, "--json"])
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def retire(parts: RealParts, *more: object, code: int = Exit.DONE) -> Any:
    return ask(
        parts, "retire", "--port", parts.tty, "--site", parts.site / "technician", "--order", parts.order_file,
        "--journal", parts.journal, "--out", parts.out, "--confirm-serial", SERIAL, "--host", parts.host, *more,
        code=code,
    )  # fmt: skip


def journal_file(parts: RealParts, order: int = 0) -> Path:
    return sorted(parts.journal.glob("*.journal"), key=lambda path: path.stat().st_mtime)[order]


def certificate_of(parts: RealParts, name: str = "certificate.posdecom") -> Certificate:
    return open_document(split((parts.out / name).read_bytes())[0], Certificate).body


def test_a_migration_waits_for_the_terminal_that_takes_over(parts: RealParts) -> None:
    new = SiteTerminal.load(parts.site / "terminals" / NEW).settings
    accounts = tuple(context.account for context in new.contexts)
    parts.write_order(replacement=NEW, replacement_accounts=accounts)
    waiting = retire(parts, "--desk", parts.desk, code=Exit.FLUSH_INCOMPLETE)
    assert waiting["message"] == f"the job waits for the replacement terminal {NEW}"
    (job,) = ask(parts, "jobs", "--journal", parts.journal)["jobs"]
    assert job["next_step"] == "replace"
    wrong = retire(parts, "--desk", parts.desk, "--replacement-port", parts.tty, code=Exit.NO_TERMINAL)
    assert f"found {SERIAL}, the order names {NEW}" in wrong["cause"]
    look = ask(parts, "info", "--port", parts.tty, "--site", parts.site / "technician")
    assert look["state"] == "frozen"
    port = parts.folder / "second"
    parts.wait_for_terminal(parts.start_another(NEW, port))
    retire(parts, "--desk", parts.desk, "--replacement-port", port)
    points = {one.point: one for one in certificate_of(parts).case}
    assert points["replacement terminal"].standing is Standing.PROVED
    assert new.contexts[0].tid in points["replacement terminal"].text


def test_certificate_and_closure_travel_as_files(parts: RealParts) -> None:
    parts.write_order()
    receipt = parts.folder / "receipts"
    ask(
        parts, "flush", "--port", parts.tty, "--site", parts.site / "technician", "--order", parts.order_file,
        "--journal", parts.journal, "--confirm-serial", SERIAL,
    )  # fmt: skip
    ask(
        parts, "settle", "--journal", journal_file(parts), "--host", parts.host, "--desk", parts.desk, "--trust",
        parts.site / "trust.pem", "--receipt-out", receipt,
    )  # fmt: skip
    open_still = retire(parts, code=Exit.INCOMPLETE)
    assert open_still["closed"] is False
    closure = parts.folder / "closure.cose"
    release = parts.site / "acquirer" / "release"
    signed = (
        "--issuer", "Demo Acquirer", "--ksn-denied", "0011223344556677", "--key-deleted", "TMK", "--revoked",
        "0011223344556677", "--key", f"{release}.key", "--certificate", f"{release}.pem", "--out", closure,
    )  # fmt: skip
    ask(parts, "closure new", parts.out / "certificate.posdecom", *signed)
    foreign = retire(parts, "--closure", parts.order_file, code=Exit.FORGED)
    assert foreign["code"] == "PD-E40"
    assert retire(parts, "--closure", closure)["state"] == "complete"
    assert retire(parts, "--closure", closure)["closed"] is True


def test_held_money_is_closed_by_a_second_certificate(parts: RealParts) -> None:
    parts.write_order(cutoff_at=1, after_cutoff=AfterCutoff.HOLD)
    retire(
        parts, "--desk", parts.desk, code=Exit.COMPLETE_WITH_EXCEPTIONS
    )  # what was sold offline is withheld
    journal = journal_file(parts)
    item = next(
        one for one in ask(parts, "held list", "--journal", journal)["held"] if one["what"] == "sold_late"
    )
    ask(
        parts, "held close", "--journal", journal, "--what", "sold-late", "--context", item["context"], "--count",
        item["open"]["count"], "--amount", item["open"]["amount"], "--means", "returned", "--by", "B. Clerk",
        "--reference", "bank case 17",
    )  # fmt: skip
    certify = (
        "--journal",
        journal,
        "--site",
        parts.site / "technician",
        "--desk",
        parts.desk,
        "--out",
        parts.out,
    )
    ask(parts, "held certify", *certify, code=Exit.COMPLETE_WITH_EXCEPTIONS)
    files = [parts.out / name for name in ("certificate-2.posdecom", "certificate.posdecom")]
    trust = ("--trust", parts.site / "trust.pem")
    verdict = ask(parts, "verify", *files, *trust, code=Exit.COMPLETE_WITH_EXCEPTIONS)
    assert (verdict["closed"], len(verdict["checked_line"])) == (True, 1)
    assert any("as B. Clerk stated on" in one["text"] for one in verdict["findings"])
    assert ask(parts, "held certify", *certify, code=Exit.NOTHING_TO_DO)["code"] == "PD-E04"


def test_after_an_appeal_that_was_won_a_later_retirement_settles_only_what_is_new(parts: RealParts) -> None:
    parts.write_order()
    flush = (
        "--port", parts.tty, "--site", parts.site / "technician", "--journal", parts.journal, "--confirm-serial",
        SERIAL, "--order", parts.order_file, "--out", parts.folder / "carried",
    )  # fmt: skip
    items = ask(parts, "flush", *flush)["items"]
    ask(parts, "settle", "--journal", journal_file(parts), "--host", parts.host)
    order, cancellation = parts.site / "acquirer" / "order", parts.folder / "cancellation.cose"
    ask(
        parts, "order cancel", "--seal", parts.folder / "carried" / "seal.cose", "--issuer", "Demo Acquirer",
        "--reason", "the appeal was won", "--delivered", f"1-{items}", "--closed", 0, "--closed", 1, "--next-batch",
        "0:2", "--next-batch", "1:2", "--key", f"{order}.key", "--certificate", f"{order}.pem", "--out", cancellation,
    )  # fmt: skip
    ask(
        parts, "thaw", "--port", parts.tty, "--site", parts.site / "technician", "--cancellation", cancellation
    )  # fmt: skip
    assert retire(parts, "--desk", parts.desk, code=Exit.NOTHING_TO_DO)["code"] == "PD-E63"
    parts.write_order(counter=2)
    verdict = retire(parts, "--desk", parts.desk)
    assert verdict["state"] == "complete"
    agreed = [one["text"] for one in verdict["findings"] if one["text"].endswith("delivered and agreed")]
    assert agreed
    assert all(": 0 transactions, 0.00 " in text for text in agreed), "an open pre-authorisation stays"
