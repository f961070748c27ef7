"""The case: what people write is read with every mistake named, and what a witness signs cannot be changed unseen."""

from __future__ import annotations

import hashlib
import tomllib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from posdecom_agent.case.checklist import decode_case, encode_case, label_of, stated_points
from posdecom_agent.case.file import CASE_BYTES_MAX, Case, CaseError, read_case
from posdecom_agent.case.kinds import Choice, Words
from posdecom_agent.case.points import SECTIONS, Point, Section, single_points
from posdecom_agent.case.question import ask_case
from posdecom_agent.case.template import write_template
from posdecom_agent.case.witness import sign_statement, signature_holds, statement_digest
from posdecom_protocol import cbor
from posdecom_protocol.documents.certificate import CASE_POINT, Standing

FULL = """
[case]
serial = "PD-000001"
reference = "退-2027-001"
[application]
applicant = "王小明, owner"
reason = "closing"
submitted = 2027-01-10
decision = "rejected"
[accounts]
balance_zero = true
penalty = "120.50 CNY"
[[fee]]
what = "paper"
amount = "3.00 CNY"
disputed = true
[[equipment]]
kind = "terminal"
serial = "PD-000001"
condition = "good"
[[equipment]]
kind = "charger"
condition = "missing"
[[document]]
kind = "contract"
file = "contract.pdf"
"""
CONTRACT = hashlib.sha256(b"contract").hexdigest()


def read(text: str) -> Case:
    return read_case(text.encode(), {"contract.pdf": CONTRACT}.get)


def problems(text: str) -> list[str]:
    with pytest.raises(CaseError) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


def test_answers_become_one_line_of_text_each_in_the_order_of_the_table() -> None:
    assert list(read(FULL).answers.items()) == [
        ("case.serial", "PD-000001"),
        ("case.reference", "退-2027-001"),
        ("application.applicant", "王小明, owner"),
        ("application.reason", "closing"),
        ("application.submitted", "2027-01-10"),
        ("application.decision", "rejected"),
        ("accounts.balance_zero", "yes"),
        ("accounts.penalty", "120.50 CNY"),
        ("fee.1", "paper, amount 3.00 CNY, disputed yes"),
        ("equipment.1", "terminal, serial PD-000001, condition good"),
        ("equipment.2", "charger, condition missing"),
        ("document.1", f"contract, file contract.pdf, SHA-256 {CONTRACT}"),
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("serial = ", "serail = "), '3: case.serail: there is no such key; did you mean "serial"?'),
        (("[accounts]", "[acounts]"), '10: acounts: there is no such key; did you mean "accounts"?'),
        (("2027-01-10", '"soon"'), "8: application.submitted: write a date: 2027-01-15"),
        (('"closing"', '"bored"'), "7: application.reason: write one of: closing, licence-withdrawn,"),
        (("= true\npenalty", '= "yes"\npenalty'), "11: accounts.balance_zero: write true or false"),
        (('"120.50 CNY"', "120.50"), "12: accounts.penalty: write an amount with its currency"),
        (('"120.50 CNY"', '"1,000 CNY"'), "12: accounts.penalty: write an amount with its currency"),
        (('condition = "missing"', ""), "21: equipment.2.condition: is missing"),
        (('"charger"', '"chargers"'), "22: equipment.2.kind: write one of: terminal, printer"),
        (('"contract.pdf"', '"elsewhere.pdf"'), "24: document.1.sha256: is missing"),
        (('file = "c', 'sha256 = "00"\nfile = "c'), "26: document.1.sha256: is not the hash of the file"),
        (("王小明, owner", "a\u202eb"), "6: application.applicant: has a character that does not show"),
        (("[[fee]]", "[fee]"), "13: fee: write [[fee]], with two brackets"),
        (("[case]", "[case"), "2: TOML: "),
    ],
)
def test_a_mistake_is_named_with_its_line_and_key(change: tuple[str, str], problem: str) -> None:
    assert FULL.count(change[0]) >= 1
    found = problems(FULL.replace(*change, 1))
    assert any(one.startswith(problem) for one in found), found


def test_all_mistakes_are_named_at_once_in_the_order_of_their_lines() -> None:
    found = problems(
        FULL.replace("serial = ", "serail = ", 1).replace('"closing"', "7").replace("3.00 CNY", "3")
    )
    assert [one.split(":")[0] for one in found] == ["3", "7", "15"]


def test_what_is_no_text_or_too_large_is_named_and_not_read() -> None:
    with pytest.raises(CaseError, match="1: file: is not UTF-8 text"):
        read_case(b"\xff")
    with pytest.raises(CaseError, match="more than 262144 bytes"):
        read_case(b"#" * (CASE_BYTES_MAX + 1))


BOMBS = {
    # of a key of so many parts tomllib takes the square: minutes for what fits into a case
    "1: file: more than 1024": b"x" + b".a" * 2_000 + b" = 1",
    "TOML: Nested": b"x = " + b"[\n" * 20_000,
    "1: file: more than": b"x = " + b"1" * 5_000,
    "k0: there is no": b"".join(b"k%d = 1\n" % number for number in range(2_000)),
    "1: equipment.1.kind: is missing": b"[[equipment]]\n" * 2_000,
}


@pytest.mark.parametrize("first", BOMBS)
def test_a_file_that_was_made_to_keep_the_reader_busy_is_refused_with_few_words(first: str) -> None:
    with pytest.raises(CaseError) as caught:
        read_case(BOMBS[first])
    assert str(caught.value).startswith(first)
    assert len(caught.value.problems) < 200


def test_what_is_expected_and_not_answered_is_open_and_what_does_not_apply_is_not_listed() -> None:
    standing = {point.point: point.standing for point in stated_points(read(FULL))}
    assert standing["application.submitted"] is Standing.STATED
    assert standing["application.rejection_reason"] is Standing.OPEN  # only because it was rejected
    assert standing["custody.returned_to"] is Standing.OPEN
    assert standing["witness"] is Standing.OPEN
    assert "case.work_order" not in standing
    assert "refund" not in standing
    approved = FULL.replace('"rejected"', '"approved"')
    assert "application.rejection_reason" not in {point.point for point in stated_points(read(approved))}


def test_nothing_that_a_case_says_is_called_proved() -> None:
    assert all(point.standing is not Standing.PROVED for point in stated_points(read(FULL)))


def test_every_point_fits_into_a_certificate() -> None:
    for point in stated_points(read(FULL)):
        assert CASE_POINT.unpack(CASE_POINT.pack(point), "point") == point


def test_a_job_keeps_a_case_as_it_is() -> None:
    case = read(FULL)
    kept = decode_case(encode_case(case))
    assert list(kept.answers.items()) == list(case.answers.items())


# --- the template and the questions ------------------------------------------------------------------------


def test_the_empty_template_is_a_case_with_every_key_as_a_comment() -> None:
    template = write_template({})
    assert read(template).answers == {}
    for _section, point, _key in single_points():
        assert f"# {point.name} = " in template or "posdecom case witness" in template


def test_each_line_of_the_template_can_be_answered_by_taking_its_mark_away() -> None:
    for section, point, _key in single_points():
        example = tomllib.loads(f"x = {point.kind.example}")["x"]
        if example:
            assert point.kind.text(example), f"{section.name}.{point.name}"


def test_what_is_asked_and_answered_reads_back() -> None:
    typed = {
        ("case", "serial"): ["PD-000001"],
        ("application", "submitted"): ["yesterday", "2027-01-10"],
        ("application", "decision"): ["pending"],
        ("accounts", "balance_zero"): ["是"],
        ("equipment", "kind"): ["terminal"],
        ("equipment", "condition"): ["", "good"],
    }
    complaints: list[str] = []

    def ask(section: Section, point: Point) -> str:
        left = typed.get((section.name, point.name), [])
        assert point.name != "rejection_reason", "only asked after a rejection"
        return left.pop(0) if left else ""

    answers = ask_case(ask, complaints.append)
    case = read(write_template(answers.single, answers.rows))
    assert case.answers == {
        "case.serial": "PD-000001",
        "application.submitted": "2027-01-10",
        "application.decision": "pending",
        "accounts.balance_zero": "yes",
        "equipment.1": "terminal, condition good",
    }
    assert complaints[0] == "write a date: 2027-01-15"
    assert len(complaints) == 2, "an empty cell that a row needs is asked again"


def test_every_section_point_and_word_of_a_list_has_both_languages() -> None:
    for section in SECTIONS:
        for words in (section.label, *(point.label for point in section.points), *_meanings(section)):
            assert words.en and words.zh
            assert words.en == "SHA-256" or any("\u4e00" <= letter <= "\u9fff" for letter in words.zh), words


def _meanings(section: Section) -> list[Words]:
    kinds = [point.kind for point in section.points if isinstance(point.kind, Choice)]
    return [meaning for kind in kinds for _word, meaning in kind.words]


def test_a_key_that_this_version_does_not_know_is_its_own_label() -> None:
    assert label_of("application.of_the_future").en == "application.of_the_future"
    assert label_of("equipment.2").zh == "设备 2"


# --- the witness -------------------------------------------------------------------------------------------

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def witnessed() -> dict[str, str]:
    stated = {
        **read(FULL).answers,
        "witness.name": "李雷",
        "witness.role": "bank",
        "witness.method": "remote",
    }
    return {**stated, **sign_statement(stated, KEY)}


def test_what_a_witness_signs_can_be_checked_without_this_code() -> None:
    answers = witnessed()
    pairs = tuple(
        (key, text) for key, text in answers.items() if key not in ("witness.key", "witness.signature")
    )
    digest = hashlib.sha256(cbor.encode(("posdecom/witness/1", pairs))).digest()
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(answers["witness.key"])).verify(
        bytes.fromhex(answers["witness.signature"]), digest
    )
    assert digest == statement_digest(answers)


def test_any_change_of_what_is_stated_undoes_the_signature() -> None:
    answers = witnessed()
    assert signature_holds(answers)
    for key in answers:
        assert not signature_holds({**answers, key: answers[key][:-1] + "0"}) or answers[key].endswith("0"), (
            key
        )
    assert not signature_holds({key: text for key, text in answers.items() if key != "equipment.2"})
    assert not signature_holds({**answers, "accounts.closed": "2027-02-01"})
