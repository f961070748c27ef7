"""What goes with a certificate: the case in it, the PDF beside it, the hook behind it; and one without a terminal."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest
from click.testing import CliRunner
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from document_chain import ANCHORS, SERIAL
from posdecom_agent import catalogue
from posdecom_agent.absent import declare_absent
from posdecom_agent.case.checklist import encode_case
from posdecom_agent.case.file import Case as Paperwork
from posdecom_agent.case.file import read_case
from posdecom_agent.case.retention import retained_until
from posdecom_agent.case.witness import sign_statement
from posdecom_agent.catalogue import Exit
from posdecom_agent.cli import posdecom
from posdecom_agent.cli.output import Output
from posdecom_agent.cli.papers import Papers, leave_pdf, run_hook
from posdecom_agent.job import Job
from posdecom_agent.journal import MemoryJournal
from posdecom_agent.procedure import Declined, Step, carry_out, next_step
from posdecom_agent.trouble import Trouble
from posdecom_agent.view import View, view_of
from posdecom_protocol.documents.certificate import Standing, State
from posdecom_protocol.documents.order import Order
from posdecom_protocol.verdict import Weight
from release_case import Case, CaseStations, begin_job, open_case
from shop import INITIAL_KEY_ID

TOML = f"""
[case]
serial = "{SERIAL}"
[custody]
returned_to = "returns desk"
[retention]
until = 2034-01-15
"""


def done(job: Job, case: Case) -> View:
    carry_out(job, CaseStations(case), lambda step, words: None)
    assert job.certificate is not None
    return view_of(job.certificate + (job.closure or b""), ANCHORS)


def standing(view: View, point: str) -> Standing:
    return next(one.standing for one in view.points if one.point == point)


# --- the case in the certificate -----------------------------------------------------------------------------


def test_a_case_goes_into_the_certificate_as_what_people_state() -> None:
    case = open_case(count=12)
    job = begin_job(case)
    job.keep_case(encode_case(read_case(TOML.encode())))
    view = done(job, case)
    assert standing(view, "custody.returned_to") is Standing.STATED
    assert standing(view, "application.applicant") is Standing.OPEN
    assert standing(view, "machine.erased") is Standing.PROVED
    assert view.verdict.state is State.COMPLETE  # open paperwork is listed and changes nothing


def test_the_retention_date_of_the_case_is_that_of_the_job() -> None:
    case = open_case(count=12)
    job = begin_job(case)
    job.keep_case(encode_case(read_case(TOML.encode())))
    assert retained_until(job) is None
    done(job, case)
    assert retained_until(job) == 2_020_896_000  # date -u -d 2034-01-15 +%s


def test_the_page_on_verifying_checks_a_witness_from_the_certificate_alone() -> None:
    page = (Path(__file__).parents[2] / "docs" / "verify.md").read_text()
    recipe = re.search(r"## The witness's signature.*?```python\n(.*?)```", page, re.DOTALL)
    assert recipe
    case = open_case(count=12)
    job = begin_job(case)
    words = {**read_case(TOML.encode()).answers, "witness.name": "陈静", "witness.role": "bank"}
    job.keep_case(encode_case(Paperwork({**words, **sign_statement(words, Ed25519PrivateKey.generate())})))
    view = done(job, case)
    assert standing(view, "machine.witnessed") is Standing.PROVED
    names = {"hashlib": hashlib, "cbor2": cbor2, "Ed25519PublicKey": Ed25519PublicKey}
    body = dict(cbor2.loads(view.chain.certificate.sign1.payload))
    exec(recipe[1], {**names, "certificate": body})
    body[11] = [{**one, 3: "another desk"} if one[1] == "custody.returned_to" else one for one in body[11]]
    with pytest.raises(InvalidSignature):
        exec(recipe[1], {**names, "certificate": body})


def test_without_a_case_that_itself_is_the_open_point() -> None:
    case = open_case(count=12)
    view = done(begin_job(case), case)
    still_open = [one.point for one in view.points if one.standing is Standing.OPEN]
    assert set(still_open) <= {"machine.preauths", "case file"}
    written = view.chain.certificate.body.case
    assert [one.point for one in written if one.standing is Standing.OPEN] == ["case file"]


def test_the_last_version_of_a_case_counts_and_the_same_one_is_kept_once() -> None:
    job = Job(MemoryJournal())
    for version in (b"1", b"2", b"2"):
        job.keep_case(version)
    assert job.case == b"2"
    assert job.journal_head != Job(MemoryJournal()).journal_head


def test_a_case_of_another_terminal_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "case.toml"
    file.write_text(TOML.replace(SERIAL, "T-0002"))
    with pytest.raises(Trouble, match="PD-E70") as caught:
        Papers(case_file=file).hand_in(Output(), begin_job(open_case(count=12)))
    assert SERIAL in caught.value.cause


# --- commands ------------------------------------------------------------------------------------------------


def run(*words: str, typed: str = "") -> str:
    done = CliRunner().invoke(posdecom, list(words), obj=Output(), input=typed)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output


def test_a_case_is_made_checked_witnessed_and_listed(tmp_path: Path) -> None:
    file, key_file = tmp_path / "case.toml", tmp_path / "witness.pem"
    key = Ed25519PrivateKey.generate()
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    run("case", "new", str(file), "--template", "--serial", SERIAL)
    assert "1 points stated" in run("case", "check", str(file))
    run("case", "witness", str(file), "--key", str(key_file), "--name", "Chen", "--role", "bank")
    listed = json.loads(run("checklist", "--json", "--case", str(file)))["points"]
    found = {one["point"]: one["standing"] for one in listed}
    assert found["machine.witnessed"] == "proved"
    assert found["witness.name"] == found["case.serial"] == "stated"
    assert found["machine.erased"] == "open"
    file.write_text(file.read_text().replace(SERIAL, "T-0002"))
    result = CliRunner().invoke(posdecom, ["case", "check", str(file)], obj=Output())
    assert isinstance(result.exception, Trouble)
    assert (
        result.exception.entry is catalogue.CASE
        and "the witness signed other words" in result.exception.cause
    )


def test_a_case_is_asked_point_by_point(tmp_path: Path) -> None:
    file = tmp_path / "case.toml"
    run("case", "new", str(file), "--serial", SERIAL, typed="\n" * 200)
    assert read_case(file.read_bytes()).answers == {"case.serial": SERIAL}


# --- the PDF and the hook ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def view() -> View:
    case = open_case(count=12)
    return done(begin_job(case), case)


def test_a_name_without_a_glyph_costs_the_pdf_and_never_the_certificate(
    view: View, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = replace(view.chain.certificate.body, technician="𠮷")
    odd = replace(view, chain=replace(view.chain, certificate=replace(view.chain.certificate, body=body)))
    assert leave_pdf(Output(), odd, tmp_path / "c.pdf") is None
    assert "𠮷 (U+20BB7)" in capsys.readouterr().err


def test_the_hook_learns_where_and_what(view: View, tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = "import os, sys; open(sys.argv[1], 'w').write(' '.join(os.environ['POSDECOM_' + n] for n in sys.argv[2:]))"
    (tmp_path / "hook.py").write_text(script)
    command = f"{sys.executable} {tmp_path}/hook.py {told} SERIAL STATE SHA256 CERTIFICATE"
    run_hook(Output(), Papers(on_complete=command), view, {"certificate": "/x/c.posdecom"})
    digest = view.chain.certificate.digest.hex()
    assert told.read_text() == f"{SERIAL} complete {digest} /x/c.posdecom"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("false", "failed with exit code 1"),
        ("/nowhere/at/all", "did not run: FileNotFoundError"),
        ('"', "ValueError"),
    ],
)
def test_a_hook_that_fails_is_said_and_changes_nothing(
    view: View, command: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_hook(Output(), Papers(on_complete=command), view, {})
    assert said in capsys.readouterr().err


# --- without a terminal --------------------------------------------------------------------------------------


def revoking(*keys: bytes) -> Callable[[Order], Order]:
    return lambda body: replace(body, revoke=keys or None)


def test_a_terminal_that_is_not_there_is_certified_as_that_and_its_keys_are_revoked() -> None:
    key = bytes(INITIAL_KEY_ID)
    case = open_case(count=12, order_changes=revoking(key))
    job = begin_job(case)
    declare_absent(job)
    assert next_step(job) is Step.CERTIFY
    stations = CaseStations(case, terminal_is_gone=True)
    carry_out(job, stations, lambda step, words: None)
    view = view_of((job.certificate or b"") + (job.closure or b""), ANCHORS)
    assert (view.verdict.state, next_step(job)) == (State.UNATTESTED, Step.DONE)
    assert view.chain.certificate.body.revoke == (key,)
    assert view.chain.closure is not None and key in view.chain.closure.body.ksn_denied
    assert standing(view, "machine.forgotten") is Standing.PROVED
    assert standing(view, "machine.erased") is Standing.OPEN
    assert case.ledger.is_denied(key)


def test_nothing_is_certified_as_absent_where_the_order_revokes_nothing() -> None:
    with pytest.raises(Trouble) as caught:
        declare_absent(begin_job(open_case(count=12, order_changes=revoking())))
    assert caught.value.exit is Exit.USAGE
    assert "lists no key to revoke" in caught.value.cause


def test_a_terminal_lost_after_its_money_was_settled_is_closed_with_the_receipt_alone() -> None:
    key = bytes(INITIAL_KEY_ID)
    case = open_case(count=12, order_changes=revoking(key))
    job, stations = begin_job(case), CaseStations(case)
    carry_out(job, stations, lambda step, words: None, Step.AGREE)
    declare_absent(job)
    assert next_step(job) is Step.CERTIFY
    carry_out(job, stations, lambda step, words: None)
    view = view_of((job.certificate or b"") + (job.closure or b""), ANCHORS)
    assert (view.verdict.state, next_step(job)) == (State.INCOMPLETE, Step.DONE)
    weights = {finding.text: finding.weight for finding in view.verdict.findings}
    assert weights["no evidence that any key was erased"] is Weight.MISSING
    assert any("delivered and agreed" in text for text in weights)
    assert case.ledger.is_denied(key)


def test_the_desk_closes_no_settled_case_without_evidence_whose_order_revokes_nothing() -> None:
    case = open_case(count=12, order_changes=revoking())
    job, stations = begin_job(case), CaseStations(case)
    carry_out(job, stations, lambda step, words: None, Step.AGREE)
    job.keep_certificate(stations.certify(job))
    assert isinstance(stations.ask_closure(job), Declined)
    assert not case.ledger.is_denied(bytes(INITIAL_KEY_ID))


def test_a_terminal_that_has_spoken_is_not_absent() -> None:
    case = open_case(count=12, order_changes=revoking(bytes(8)))
    job = begin_job(case)
    carry_out(job, CaseStations(case), lambda step, words: None, Step.FLUSH)
    with pytest.raises(Trouble) as caught:
        declare_absent(job)
    assert "has spoken" in caught.value.cause
