"""docs/documents.md says what the code does, every field with its label and bounds; docs/verify.md has a recipe."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from document_chain import (
    ANCHORS,
    AS_USUAL,
    HANDS,
    NOW,
    OTHER_ACQUIRER,
    TWO_HANDS,
    YEARS,
    Identity,
    seal_body,
    write_chain,
)
from posdecom_protocol.certificates import ROLE_OIDS, Role, load_anchors
from posdecom_protocol.cose import ALG_ED25519, SigningKey
from posdecom_protocol.documents import SHAPES, authenticate, issue, open_document
from posdecom_protocol.documents.certificate import State
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.guard import RELEASE
from posdecom_protocol.limits import ITEMS_MAX
from posdecom_protocol.schema import Choice, Fixed, Flag, Kind, Many, Octets, Record, Text, Time, Whole
from shop import CONTEXTS, NO_CUTOFF, freeze_day, open_shop

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "documents.md").read_text("utf-8") + (DOCS / "verify.md").read_text("utf-8")
FILE = write_chain(AS_USUAL, TWO_HANDS).file


def section(title: str) -> str:
    """What stands below the heading ``title``, up to the next heading of any level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"the page has no section {title}"
    return found[1]


def number(value: int) -> str:
    for base, exponents in ((2, (31, 32, 63)), (10, (6, 12, 17))):
        for exponent in exponents:
            if abs(value - base**exponent) <= 1:
                return f"{base}^{exponent}" + ("", "+1", "-1")[value - base**exponent]
    return str(value)


def type_text(kind: Kind[Any]) -> str:
    """How the page words a kind and its bounds."""
    match kind:
        case Time():
            return "time"
        case Whole(high=high, low=low):
            return f"integer {number(low)}" + (f" to {number(high)}" if high != low else "")
        case Text(high=high, empty=empty):
            return f"text {0 if empty else 1} to {high}"
        case Fixed(value=value):
            return f"text `{value}`"
        case Octets(high=high, low=low):
            return f"{high} bytes" if low in (None, high) else f"{low} to {high} bytes"
        case Flag():
            return "boolean"
        case Choice(of=members):
            return members.__name__
        case Many(of=member, high=high, low=low):
            return f"{low} to {high} of {type_text(member)}"
        case Record(of=made):
            return made.__name__
        case _:
            raise AssertionError(f"the page has no words for {kind!r}")


def parts(kind: Kind[Any]) -> Iterator[Record[Any] | type[IntEnum]]:
    """Every record and enumeration that ``kind`` is made of, itself included."""
    match kind:
        case Record(fields=fields):
            yield kind
            for field in fields.values():
                yield from parts(field.kind)
        case Many(of=member):
            yield from parts(member)
        case Choice(of=members):
            yield members
        case _:
            pass


PARTS = {
    (part.of if isinstance(part, Record) else part).__name__: part
    for shape in SHAPES.values()
    for part in parts(shape.record)
}
RECORDS = {name: part for name, part in PARTS.items() if isinstance(part, Record)}
ENUMERATIONS = {name: part for name, part in PARTS.items() if not isinstance(part, Record)}


@pytest.mark.parametrize("name", RECORDS)
def test_every_field_stands_in_its_table_with_label_type_and_bounds(name: str) -> None:
    rows = [line for line in section(name).splitlines() if re.match(r"\| -?\d", line)]
    expected = [
        f"| {label} | {field.name} | {type_text(field.kind)}{', optional' if field.optional else ''} |"
        for label, field in RECORDS[name].fields.items()
    ]
    assert [row[: len(start)] for row, start in zip(rows, expected, strict=True)] == expected
    assert all(row.count("|") == 5 and row.split("|")[4].strip() for row in rows)


@pytest.mark.parametrize("name", ENUMERATIONS)
def test_every_member_of_an_enumeration_stands_in_its_row(name: str) -> None:
    row = next(line for line in section("Enumerations").splitlines() if line.startswith(f"| {name} |"))
    members = row.split("|")[2].split(",")
    assert [member.strip() for member in members] == [
        f"{member.value} {member.name.lower().replace('_', ' ')}" for member in ENUMERATIONS[name]
    ]


def test_every_document_stands_with_its_typ_roles_and_size() -> None:
    text = section("Documents and their signers")
    for kind, shape in SHAPES.items():
        roles = " or ".join(role.value for role in shape.roles)
        row = f"| {kind.__name__} | `{shape.typ}` | {roles} | {shape.bytes_max // 1024} KiB |"
        assert row in text
    assert shape.bytes_max % 1024 == 0


def test_every_role_stands_with_its_identifier() -> None:
    text = section("Roles")
    for role in Role:
        assert f"| {role.value} | {ROLE_OIDS[role].dotted_string} |" in text


def test_every_condition_of_the_guard_stands_in_its_place() -> None:
    rows = re.findall(
        r"^\| (\d+) \| ([a-z ]+) \|", section("What a terminal asks before it erases"), re.MULTILINE
    )
    conditions = {reason.value: reason.name.lower().replace("_", " ") for reason, _holds in RELEASE}
    assert {int(value): name for value, name in rows} == {**conditions, 4: "type and version"}


def test_every_derived_state_stands_on_the_page() -> None:
    for state in State:
        assert f"| {state.name.lower()} |" in section("Derived states")
    assert str(ALG_ED25519) in section("Protected header")


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_the_contexts_of_a_seal_share_out_its_items_as_the_page_says(empty: int) -> None:
    contexts = tuple(replace(CONTEXTS[0], index=index, tid=f"TERM000{index}") for index in range(3))
    day = [one for one in open_shop(seed=4, count=30, contexts=contexts).day if one.context != empty]
    prepared = freeze_day(day, NO_CUTOFF, contexts).prepared
    before = 0
    for context in prepared.contexts:
        assert context.item_first == before + 1
        assert (context.item_last == before) == (context.index == empty)
        before = context.item_last
    assert before == len(prepared.items)
    places = "Contexts of 5, 0 and 3 items: 1 to 5, 6 to 5, 6 to 8."
    assert places in section("SealedContext")


def test_a_context_without_items_may_stand_behind_the_last_item_that_there_may_be() -> None:
    seal = seal_body(b"order")
    last = replace(seal.contexts[1], item_first=ITEMS_MAX + 1, item_last=ITEMS_MAX)
    document = issue(replace(seal, contexts=(seal.contexts[0], last)), HANDS.seal)
    assert open_document(document, Seal).body.contexts[1] == last


# --- the recipe ----------------------------------------------------------------------------------


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    for tool in ("openssl", "bash", "xxd", "od"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    found = re.search(r"```bash\n(.*?)```", section("With OpenSSL alone"), re.DOTALL)
    assert found
    (tmp_path / "verify.sh").write_text(found[1])
    (tmp_path / "trust.pem").write_bytes(ANCHORS.pem())
    return tmp_path


def run(folder: Path, data: bytes) -> subprocess.CompletedProcess[str]:
    (folder / "case.posdecom").write_bytes(data)
    command = ["bash", "verify.sh", "case.posdecom", "trust.pem"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_recipe_verifies_every_document_of_a_file(recipe: Path) -> None:
    result = run(recipe, FILE)
    assert result.returncode == 0, result.stderr
    names = ["certificate", "order", "seal", "receipt-1", "receipt-2", "evidence", "closure"]
    roles = [5, 1, 4, 2, 3, 4, 2]
    assert re.findall(r"^([a-z0-9-]+): verified, role \S+\.(\d+)$", result.stdout, re.MULTILINE) == [
        (name, str(role)) for name, role in zip(names, roles, strict=True)
    ]
    documents = write_chain(AS_USUAL, TWO_HANDS)
    assert (recipe / "order.cose").read_bytes() == documents.order
    assert (recipe / "receipt-2.cose").read_bytes() == documents.receipts[1]


def test_the_recipe_verifies_a_certificate_without_closure(recipe: Path) -> None:
    documents = write_chain()
    result = run(recipe, documents.certificate)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("verified") == 5


def test_the_recipe_verifies_a_signer_below_an_intermediate_authority(recipe: Path) -> None:
    """x5chain as an array, leaf first."""
    middle = Identity("acquirer's second authority")
    signer = Identity("order signer of the second authority")
    root = Identity("acquirer with authorities")
    anchor = certify(root, root, ca=True)
    chain = (certify(signer, middle, ca=False), certify(middle, root, ca=True))
    der = tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)
    anchors = ANCHORS.pem() + anchor.public_bytes(Encoding.PEM)
    (recipe / "trust.pem").write_bytes(anchors)
    hands = replace(HANDS, order=SigningKey(signer.private_key.sign, der))
    order = open_document(write_chain(hands=hands).order, Order)
    assert authenticate(order, load_anchors(anchors), NOW).name == signer.name
    result = run(recipe, write_chain(hands=hands).file)
    assert "order: verified" in result.stdout and result.returncode == 0, result.stderr


def test_the_recipe_prints_all_roles_of_a_signer_in_one_line(recipe: Path) -> None:
    signer, root = Identity("order and release signer"), Identity("acquirer of both")
    roles = (Role.ORDER, Role.RELEASE)
    anchor, leaf = certify(root, root, True, roles), certify(signer, root, False, roles)
    (recipe / "trust.pem").write_bytes(ANCHORS.pem() + anchor.public_bytes(Encoding.PEM))
    key = SigningKey(signer.private_key.sign, (leaf.public_bytes(Encoding.DER),))
    result = run(recipe, write_chain(hands=replace(HANDS, order=key)).file)
    named = " ".join(ROLE_OIDS[role].dotted_string for role in roles)
    assert f"order: verified, role {named}\n" in result.stdout, result.stderr
    assert all(": verified, role " in line for line in result.stdout.splitlines())


def certify(
    subject: Identity, issuer: Identity, ca: bool, roles: tuple[Role, ...] = (Role.ORDER,)
) -> x509.Certificate:
    """An authority for ``roles``, or a signer in them."""
    usage = dict.fromkeys(inspect.signature(x509.KeyUsage).parameters, False)
    usage["key_cert_sign" if ca else "digital_signature"] = True
    named = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity.name)]) for identity in (subject, issuer)
    ]
    return (
        x509.CertificateBuilder(named[1], named[0], subject.private_key.public_key(), serial_number=1)
        .not_valid_before(datetime.fromtimestamp(YEARS.not_before, UTC))
        .not_valid_after(datetime.fromtimestamp(YEARS.not_after, UTC))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ROLE_OIDS[role] for role in roles]), critical=False)
        .sign(issuer.private_key, None)
    )


@pytest.mark.parametrize("position", [0, 99, 2000, -700, -1], ids=["tag", "header", "body", "end", "closure"])
def test_the_recipe_finds_damage_anywhere(recipe: Path, position: int) -> None:
    damaged = bytearray(FILE)
    damaged[position] ^= 1
    assert run(recipe, bytes(damaged)).returncode != 0


def test_the_recipe_trusts_nobody_but_the_anchors(recipe: Path) -> None:
    (recipe / "trust.pem").write_bytes(OTHER_ACQUIRER.pem())
    assert run(recipe, FILE).returncode != 0
