"""The acquirer's tools and the readers, end to end over files: what they sign, show and judge, and each wrong input."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from document_chain import (
    ACQUIRER,
    ANCHORS,
    APPROVER,
    BY_ROLE,
    SERIAL,
    TERMINALS,
    Documents,
    Identity,
    Script,
    holding,
    stating,
    write_chain,
)
from document_chain import NOW as CHAIN_NOW
from posdecom_agent.catalogue import Exit
from posdecom_agent.cli import finish, main
from posdecom_agent.cli.output import Output
from posdecom_agent.job import Job
from posdecom_agent.journal import MemoryJournal
from posdecom_protocol.certificates import Role
from posdecom_protocol.cose import digest
from posdecom_protocol.custody import encode_custody
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.certificate import State
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.documents.order import Account, Action, AfterCutoff, Mode, Order, Preauths, Reason
from posdecom_protocol.documents.receipt import Basis, Receipt
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.guard import check_release
from posdecom_protocol.money import Tally
from posdecom_protocol.records import Item, ItemKind, chain_head, encode_item


@pytest.fixture(scope="module")
def documents() -> Documents:
    return write_chain(Script(certificate=stating(State.COMPLETE)))


@pytest.fixture
def desk(tmp_path: Path, documents: Documents) -> Path:
    """A folder with everybody's keys, the trust anchors, and the documents of one case."""
    for name, role in (("order", Role.ORDER), ("release", Role.RELEASE), ("approver", Role.APPROVER)):
        identity = Identity(f"{name} signer" if name != "approver" else name)
        key = identity.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / f"{name}.key").write_bytes(key)
        (chain,) = identity.hand(ACQUIRER, role).chain
        (tmp_path / f"{name}.pem").write_text(pem(chain))
    (tmp_path / "trust.pem").write_bytes(ANCHORS.pem())
    (tmp_path / "garbage").write_bytes(b"\x00garbage")
    (tmp_path / "empty").write_bytes(b"")
    for name in ("order", "seal", "evidence", "certificate", "closure", "file"):
        (tmp_path / f"{name}.cose").write_bytes(getattr(documents, name))
    (tmp_path / "receipt.cose").write_bytes(documents.receipts[0])
    return tmp_path


def pem(der: bytes) -> str:
    from base64 import encodebytes

    return f"-----BEGIN CERTIFICATE-----\n{encodebytes(der).decode()}-----END CERTIFICATE-----\n"


def run(desk: Path, *arguments: str) -> int:
    """With ``@name`` for a file in the folder."""
    words = [str(desk / word[1:]) if word.startswith("@") else word for word in arguments]
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def by(signer: str, out: str = "@new.cose") -> tuple[str, ...]:
    return ("--key", f"@{signer}.key", "--certificate", f"@{signer}.pem", "--out", out)


def assert_three_lines(capsys: pytest.CaptureFixture[str], code: str, *said: str) -> None:
    out, err = capsys.readouterr()
    first, second, third = err.splitlines()
    assert first.startswith(f"error[{code}]: ")
    assert second.startswith("cause: ")
    assert third.startswith("try: ")
    assert all(words in err for words in said), err
    assert out == ""


ORDER = (
    "order", "new", "--serial", SERIAL, "--account", "acquirer-a/123456789012345/TERM0001", "--counter", "7",
    "--issuer", "acquirer-a",
)  # fmt: skip
RECEIPT = ("receipt", "new", "--order", "@order.cose", "--seal", "@seal.cose", "--issuer", "acquirer-a")
JUDGED_BY = ("--order", "@order.cose", "--seal", "@seal.cose", "--trust", "@trust.pem")
SIGN = ("receipt", "sign", "@receipt.cose", *JUDGED_BY)
CLOSURE = ("closure", "new", "@certificate.cose", "--issuer", "acquirer-a")
VERIFY = ("verify", "@file.cose", "--trust", "@trust.pem")


# --- order -------------------------------------------------------------------------------------------------


def test_an_order_says_what_was_typed(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extra = (
        "--id", "O-9", "--reason", "licence-withdrawn", "--mode", "redeploy", "--cutoff", "2027-01-15T16:00:00+08:00",
        "--after-cutoff", "hold", "--preauths", "void", "--valid-from", "2027-01-15T08:00:00Z", "--valid-hours", "2",
        "--replacement", "T-0002", "--no-erase", "--account", "acquirer-b/2/T2", "--json",
    )  # fmt: skip
    assert run(desk, *ORDER, *by("order"), *extra) == 0
    order = open_document((desk / "new.cose").read_bytes(), Order)
    body = order.body
    assert (body.order_id, body.counter, body.serial, body.issuer) == ("O-9", 7, SERIAL, "acquirer-a")
    assert (body.reason, body.mode) == (Reason.LICENCE_WITHDRAWN, Mode.REDEPLOY)
    assert (body.after_cutoff, body.preauths) == (AfterCutoff.HOLD, Preauths.VOID)
    assert (body.cutoff_at, body.not_before, body.not_after) == (CHAIN_NOW, CHAIN_NOW, CHAIN_NOW + 7200)
    assert body.accounts == (
        Account("acquirer-a", "123456789012345", "TERM0001"),
        Account("acquirer-b", "2", "T2"),
    )
    assert (body.actions, body.replacement) == ((Action.FLUSH,), "T-0002")
    said = json.loads(capsys.readouterr().out)
    assert said == {
        "schema": "posdecom/order-new/1",
        "file": str(desk / "new.cose"),
        "sha256": order.digest.hex(),
        "bytes": len(order.data),
    }


def test_a_plain_order_holds_from_now_for_three_days(desk: Path) -> None:
    assert run(desk, *ORDER, *by("order")) == 0
    body = open_document((desk / "new.cose").read_bytes(), Order).body
    assert body.issued_at == body.not_before == body.cutoff_at == body.not_after - 72 * 3600
    assert (body.order_id, body.actions) == (f"{SERIAL}-7", (Action.FLUSH, Action.ERASE))


# --- receipt ------------------------------------------------------------------------------------------------


def test_a_receipt_made_by_hand_releases_the_terminal(desk: Path, documents: Documents) -> None:
    assert run(desk, *RECEIPT, *by("release")) == 0
    data = (desk / "new.cose").read_bytes()
    assert check_release([data], holding(documents)).receipt.basis is Basis.AGREED


def with_custody(desk: Path, documents: Documents, items: Sequence[bytes]) -> tuple[str, str]:
    pieces = encode_custody(documents.order, documents.seal, items)
    (desk / "custody.posdecom").write_bytes(b"".join(pieces))
    return "--custody", "@custody.posdecom"


def test_an_exception_while_readable_records_are_not_yet_at_the_desk_is_refused(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = tuple(encode_item(Item(ItemKind.SIGN_OFF, 0, None, bytes((number,)))) for number in range(5))
    sealed = write_chain(Script(seal=lambda body: replace(body, head=chain_head(items))))
    other = write_chain(Script(seal=lambda body: replace(body, head=chain_head(items), challenge=bytes(32))))
    (desk / "seal.cose").write_bytes(sealed.seal)
    exception = (*RECEIPT, "--exception", *by("release"))
    assert run(desk, *exception) == Exit.USAGE
    assert "needs --custody" in capsys.readouterr().err
    for held, why, more in (
        (items[:4], "holds 4 of 5 messages, and 0 are stated to be unreadable", ()),
        (items[:3], "holds 3 of 5 messages, and 1 are stated", ("--unreadable", "1")),
        ((*items[:4], items[0]), "does not add up to the seal's chain head", ()),
    ):
        assert run(desk, *exception, *with_custody(desk, sealed, held), *more) == Exit.FORGED
        assert why in capsys.readouterr().err
    assert run(desk, *exception, *with_custody(desk, other, items)) == Exit.FORGED
    assert "another order or another seal" in capsys.readouterr().err
    assert not (desk / "new.cose").exists()
    assert run(desk, *exception, *with_custody(desk, sealed, items)) == 0


def test_what_is_given_up_needs_a_second_signature_and_then_releases(
    desk: Path, documents: Documents, capsys: pytest.CaptureFixture[str]
) -> None:
    given_up = (
        "--exception",
        "--undelivered",
        "0:1:1000",
        *with_custody(desk, documents, ()),
        "--unreadable",
        "5",
    )
    assert run(desk, *RECEIPT, *given_up, *by("release", "@one.cose")) == 0
    assert "posdecom receipt sign" in capsys.readouterr().err
    assert run(desk, "receipt", "sign", "@one.cose", *JUDGED_BY, *by("approver", "@two.cose")) == 0
    said = capsys.readouterr().err
    assert f"over terminal {SERIAL}, exception" in said
    assert "delivered 2 for 2500, refused 0 for 0, undelivered 1 for 1000, withheld 0 for 0" in said
    one, two = ((desk / f"{name}.cose").read_bytes() for name in ("one", "two"))
    receipt = check_release([one, two], holding(documents)).receipt
    (context,) = receipt.contexts
    assert (context.delivered, context.undelivered) == (Tally(2, 2500), Tally(1, 1000))
    assert receipt.basis is Basis.EXCEPTION


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda body: replace(body, serial="T-0002"), "receipt: it names another terminal"),
        (lambda body: replace(body, order_digest=bytes(32)), "receipt: it belongs to another order"),
        (lambda body: replace(body, seal_digest=bytes(32)), "receipt: it does not agree with"),
        (lambda body: replace(body, contexts=()), "receipt: it does not agree with"),
        (lambda body: replace(body, challenge=bytes(32)), "receipt: it was made for an earlier freeze"),
    ],
)
def test_nobody_puts_a_second_signature_under_what_the_terminal_would_refuse(
    desk: Path,
    documents: Documents,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Receipt], Receipt],
    said: str,
) -> None:
    body = change(open_document(documents.receipts[0], Receipt).body)
    (desk / "receipt.cose").write_bytes(issue(body, BY_ROLE[Role.RELEASE]))
    assert run(desk, *SIGN, *by("approver")) == Exit.FORGED
    assert said in capsys.readouterr().err
    assert not (desk / "new.cose").exists()


def test_nobody_puts_a_second_signature_beside_one_that_may_not_release(
    desk: Path, documents: Documents, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two who may only approve would otherwise make up a receipt between them, and one who may release be shown it."""
    body = open_document(documents.receipts[0], Receipt).body
    (desk / "receipt.cose").write_bytes(issue(body, APPROVER))
    assert run(desk, *SIGN, *by("release")) == Exit.FORGED
    assert_three_lines(capsys, "PD-E40", "receipt, ")
    assert not (desk / "new.cose").exists()


@pytest.mark.parametrize("signer", ["release", "order"])
def test_the_second_signature_is_by_another_key_that_may_give_it(
    desk: Path, capsys: pytest.CaptureFixture[str], signer: str
) -> None:
    assert run(desk, *SIGN, *by(signer)) == Exit.FORGED
    assert "error[PD-E40]: " in capsys.readouterr().err
    assert not (desk / "new.cose").exists()


def test_a_seal_that_is_not_the_terminals_gets_no_second_signature(
    desk: Path, documents: Documents, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = Identity("another terminal", "T-0002").hand(TERMINALS, Role.TERMINAL)
    (desk / "seal.cose").write_bytes(issue(open_document(documents.seal, Seal).body, stranger))
    assert run(desk, *SIGN, *by("approver")) == Exit.FORGED
    assert_three_lines(capsys, "PD-E40", "seal: is signed by another terminal")


# --- closure and the readers ----------------------------------------------------------------------------------


def test_what_is_closed_by_hand_verifies(
    desk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: CHAIN_NOW + 9000.0)
    forgotten = ("--ksn-denied", "1234567890123456", "--key-deleted", "TMK", "--revoked", "0011223344556677")
    assert run(desk, *CLOSURE, *forgotten, *by("release")) == 0
    closure = (desk / "new.cose").read_bytes()
    body = open_document(closure, Closure).body
    assert body.certificate_digest == digest((desk / "certificate.cose").read_bytes())
    assert (body.ksn_denied, body.keys_deleted) == ((bytes.fromhex("1234567890123456"),), ("TMK",))
    (desk / "file.cose").write_bytes((desk / "certificate.cose").read_bytes() + closure)
    capsys.readouterr()
    assert run(desk, *VERIFY) == Exit.DONE
    assert capsys.readouterr().out.startswith(f"terminal {SERIAL}: COMPLETE\n")


def test_a_closure_may_be_made_over_a_file_that_holds_one_already(desk: Path) -> None:
    assert run(desk, "closure", "new", "@file.cose", "--issuer", "a", *by("release")) == 0
    body = open_document((desk / "new.cose").read_bytes(), Closure).body
    assert body.certificate_digest == digest((desk / "certificate.cose").read_bytes())


def test_a_certificate_without_its_closure_is_incomplete(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(desk, "verify", "@certificate.cose", "--trust", "@trust.pem", "--json") == Exit.INCOMPLETE
    said = json.loads(capsys.readouterr().out)
    assert (said["state"], said["state_at_terminal"], said["closed"]) == ("incomplete", "complete", False)


def test_explain_shows_every_document_in_the_order_of_the_chain(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(desk, "explain", "@file.cose") == 0
    out = capsys.readouterr().out
    heads = [line.split()[0] for line in out.splitlines() if "  sha256 " in line]
    assert heads == ["ORDER", "SEAL", "RECEIPT", "EVIDENCE", "CERTIFICATE", "CLOSURE"]
    assert out.count("signature not judged here") == 6
    assert run(desk, "explain", "@order.cose", "--json") == 0
    (order,) = json.loads(capsys.readouterr().out)["documents"]
    assert order["type"] == "order"
    assert {"level": 0, "name": "serial", "text": SERIAL} in order["fields"]


# --- wrong input: exit code and three lines ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*ORDER, "--account", "acquirer-a/1"), "an account is ACQUIRER/MID/TID"),
        ((*ORDER, "--account", "a//T1"), "cannot be signed: order."),
        ((*ORDER, "--account", "a/1/TID-TOO-LONG"), "cannot be signed: order."),
        ((*ORDER, "--reason", "boredom"), "no such reason"),
        ((*ORDER, "--mode", "sell"), "--mode"),
        ((*ORDER, "--cutoff", "yesterday"), "a time is written like"),
        ((*ORDER, "--cutoff", "2027-01-15T16:00:00"), "the time has no zone"),
        ((*ORDER, "--cutoff", "0001-01-01T00:00:00+14:00"), "cannot be signed: order.cutoff_at"),
        ((*ORDER, "--valid-hours", "0"), "--valid-hours"),
        ((*ORDER, "--counter", "0"), "--counter"),
        ((*ORDER, "--counter", "99999999999999999999"), "cannot be signed: order"),
        ((*ORDER, "--serial", ""), "cannot be signed: order.serial"),
        ((*ORDER, "--issuer", "x" * 1000), "cannot be signed: order.issuer"),
        ((*RECEIPT, "--undelivered", "0:1"), "CONTEXT:COUNT:AMOUNT"),
        ((*RECEIPT, "--undelivered", "0:one:1"), "CONTEXT:COUNT:AMOUNT"),
        ((*RECEIPT, "--undelivered", "9:1:1"), "context 9 is not in the seal"),
        ((*RECEIPT, "--undelivered", "0:1:1", "--undelivered", "0:1:1"), "named twice"),
        ((*RECEIPT, "--undelivered", "0:99:1"), "context 0 holds less than that"),
        ((*RECEIPT, "--undelivered", "0:1:999999"), "context 0 holds less than that"),
        ((*RECEIPT, "--remark", "x" * 10_000), "cannot be signed: receipt.remark"),
        ((*CLOSURE, "--ksn-denied", "12345"), "is no hexadecimal"),
        ((*CLOSURE, "--revoked", "zz"), "is no hexadecimal"),
        ((*CLOSURE, "--refunds-open", "-1"), "--refunds-open"),
        ((*CLOSURE, "--key-deleted", ""), "cannot be signed: closure."),
    ],
)
def test_what_was_typed_wrong_is_said_and_nothing_is_written(
    desk: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert run(desk, *arguments, *by("release")) == Exit.USAGE
    assert_three_lines(capsys, "PD-E02", said)
    assert not (desk / "new.cose").exists()


def test_a_desk_without_anchors_to_judge_it_by_is_not_asked(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settle = ("settle", "--journal", "@order.cose", "--host", "127.0.0.1:1", "--desk", "http://127.0.0.1:1")
    assert run(desk, *settle) == Exit.USAGE
    assert_three_lines(capsys, "PD-E02", "--desk needs --trust")


def test_a_seal_under_another_order_gets_no_receipt(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(desk, *ORDER, *by("order", "@order.cose"))
    capsys.readouterr()
    assert run(desk, *RECEIPT, *by("release")) == Exit.USAGE
    assert_three_lines(capsys, "PD-E02", "the seal is not under this order")


@pytest.mark.parametrize("arguments", [ORDER, RECEIPT, SIGN, CLOSURE])
@pytest.mark.parametrize(
    ("key", "certificate", "said"),
    [
        ("@order.key", "@release.pem", "is not the key of"),
        ("@garbage", "@order.pem", "is no unencrypted PEM private key"),
        ("@order.pem", "@order.pem", "is no unencrypted PEM private key"),
        ("@order.key", "@garbage", "garbage: "),
        ("@order.key", "@empty", "empty: "),
    ],
)
def test_a_key_and_a_certificate_that_are_no_pair_sign_nothing(
    desk: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    key: str,
    certificate: str,
    said: str,
) -> None:
    code = run(desk, *arguments, "--key", key, "--certificate", certificate, "--out", "@new.cose")
    assert code == Exit.USAGE
    assert_three_lines(capsys, "PD-E02", said)
    assert not (desk / "new.cose").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("receipt", "sign", "@order.cose", *JUDGED_BY),
        ("receipt", "sign", "@garbage", *JUDGED_BY),
        ("closure", "new", "@order.cose", "--issuer", "a"),
        ("closure", "new", "@empty", "--issuer", "a"),
        ("receipt", "new", "--order", "@seal.cose", "--seal", "@seal.cose", "--issuer", "a"),
        ("receipt", "new", "--order", "@order.cose", "--seal", "@garbage", "--issuer", "a"),
    ],
)
def test_a_document_of_another_kind_is_told(
    desk: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert run(desk, *arguments, *by("release")) == Exit.FORGED
    assert_three_lines(capsys, "PD-E40")


@pytest.mark.parametrize("arguments", [ORDER, RECEIPT, SIGN, CLOSURE])
def test_a_file_that_is_not_there_is_a_wrong_command_line(
    desk: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert (
        run(desk, *arguments, "--key", "@none", "--certificate", "@order.pem", "--out", "@new") == Exit.USAGE
    )
    assert_three_lines(capsys, "PD-E02", "none")


@pytest.mark.parametrize("arguments", [ORDER, RECEIPT, SIGN, CLOSURE])
def test_a_folder_that_is_not_there_is_named_as_it_was_typed(
    desk: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert run(desk, *arguments, *by("approver", "@nowhere/new.cose")) == Exit.USAGE
    assert f"error[PD-E06]: {desk}/nowhere/new.cose is not there\ncause: " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["garbage", "empty", "order.cose", "closure.cose", "trust.pem"])
def test_what_is_no_certificate_does_not_verify(
    desk: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(desk, "verify", f"@{name}", "--trust", "@trust.pem") == Exit.FORGED
    assert_three_lines(capsys, "PD-E40")


def test_any_byte_changed_does_not_verify(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray((desk / "file.cose").read_bytes())
    data[len(data) // 2] ^= 1
    (desk / "file.cose").write_bytes(data)
    assert run(desk, *VERIFY) == Exit.FORGED
    assert_three_lines(capsys, "PD-E40")


@pytest.mark.parametrize("name", ["garbage", "empty"])
def test_an_anchor_file_that_is_none_says_nothing_about_the_certificate(
    desk: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(desk, "verify", "@file.cose", "--trust", f"@{name}") == Exit.USAGE
    assert_three_lines(capsys, "PD-E02", "--trust")


def test_anchors_of_others_vouch_for_nothing(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (desk / "trust.pem").write_bytes(TERMINALS.pem())
    assert run(desk, *VERIFY) == Exit.FORGED
    assert_three_lines(capsys, "PD-E40")


@pytest.mark.parametrize("name", ["garbage", "empty", "trust.pem"])
def test_explain_says_that_it_is_no_document(
    desk: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(desk, "explain", f"@{name}") == Exit.FORGED
    assert_three_lines(capsys, "PD-E40")


def test_a_failure_with_json_is_one_document(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(desk, "verify", "@garbage", "--trust", "@trust.pem", "--json") == Exit.FORGED
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["code"], said["exit"]) == ("posdecom/error/1", "PD-E40", 30)


# --- what a finished job leaves behind ---------------------------------------------------------------------------


def finished(documents: Documents) -> Job:
    job = Job(MemoryJournal())
    job.begin(documents.order)
    job.keep_once("certificate", documents.certificate)
    job.keep_once("closure", documents.closure)
    return job


def test_the_certificate_is_left_with_the_anchors_that_judge_it(
    desk: Path, documents: Documents, capsys: pytest.CaptureFixture[str]
) -> None:
    code = finish.deliver(Output(), finished(documents), ANCHORS, desk / "a" / "b")
    assert code == Exit.DONE
    left = sorted(path.name for path in (desk / "a" / "b").iterdir())
    assert left == ["certificate.pdf", "certificate.posdecom", "trust.pem"]
    capsys.readouterr()
    assert run(desk, "verify", "@a/b/certificate.posdecom", "--trust", "@a/b/trust.pem") == Exit.DONE


def test_a_place_that_takes_no_file_is_named_and_another_one_takes_it_later(
    desk: Path, documents: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    job = finished(documents)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(PermissionError) as caught:
            finish.deliver(Output(), job, ANCHORS, desk / "out")
    assert caught.value.filename == str(desk / "out" / "certificate.posdecom")
    assert finish.deliver(Output(), job, ANCHORS, desk / "out") == Exit.DONE


def test_a_disk_that_fills_up_leaves_the_file_that_was_there_and_no_half_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "certificate.posdecom"
    finish.write_whole(path, b"before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        finish.write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["certificate.posdecom"]


def test_what_was_stored_in_the_job_is_its_owners_alone_outside_of_it_too(tmp_path: Path) -> None:
    finish.write_pieces(tmp_path / "custody.posdecom", [b"items"], private=True)
    assert (tmp_path / "custody.posdecom").stat().st_mode & 0o777 == 0o600


def test_a_link_that_lies_where_a_file_is_written_first_leads_nowhere(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"before")
    (tmp_path / f".new.{os.getpid()}").symlink_to(theirs)
    finish.write_whole(tmp_path / "new", b"after")
    assert (theirs.read_bytes(), (tmp_path / "new").read_bytes()) == (b"before", b"after")
