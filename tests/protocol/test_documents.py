"""The eight signed documents: read back, damaged in every place, crossed with every role, and read by strangers."""

from __future__ import annotations

import functools
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from document_chain import (
    ANCHORS,
    BY_ROLE,
    HANDS,
    NOW,
    TWO_HANDS,
    Documents,
    as_it_is,
    order_body,
    receipt_body,
    write_chain,
)
from posdecom_protocol import cbor, cose
from posdecom_protocol.certificates import Role, key_id
from posdecom_protocol.documents import (
    SHAPES,
    DocumentType,
    authenticate,
    issue,
    open_any,
    open_document,
)
from posdecom_protocol.documents.bind import Bind
from posdecom_protocol.documents.cancellation import Cancellation
from posdecom_protocol.documents.certificate import Certificate
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.documents.evidence import Evidence
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.receipt import Receipt, Refusal
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.verdict import judge

DOCUMENTS = write_chain()
BY_KIND: dict[type[Any], bytes] = {
    Order: DOCUMENTS.order,
    Seal: DOCUMENTS.seal,
    Receipt: DOCUMENTS.receipts[0],
    Evidence: DOCUMENTS.evidence,
    Certificate: DOCUMENTS.certificate,
    Closure: DOCUMENTS.closure,
    Cancellation: DOCUMENTS.cancellation,
    Bind: DOCUMENTS.bind,
}
SMALL_CERTIFICATE = issue(
    replace(
        open_document(DOCUMENTS.certificate, Certificate).body, seal=None, receipts=(), evidence=None, case=()
    ),
    HANDS.technician,
)
every_kind = pytest.mark.parametrize("kind", BY_KIND, ids=lambda kind: kind.__name__.lower())
AT = NOW + 8000.0
"""While every certificate is valid, the technician's too."""


@every_kind
def test_a_document_reads_back_as_what_was_signed(kind: type[Any]) -> None:
    signed = open_document(BY_KIND[kind], kind)
    assert issue(signed.body, _hand(kind)) == signed.data
    assert open_any(signed.data) == signed
    assert authenticate(signed, ANCHORS, AT).role is SHAPES[kind].roles[0]


def test_there_are_eight_kinds_and_each_has_its_own_media_type() -> None:
    assert set(SHAPES) == set(BY_KIND)
    assert sorted(shape.typ for shape in SHAPES.values()) == sorted(DocumentType)


# --- damage --------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize(
    "damage",
    ["a bit of each byte", "values", "truncations", "growth", pytest.param("bits", marks=pytest.mark.long)],
)
def test_no_damaged_document_is_accepted(
    kind: type[Any], damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bit of each byte (each bit in the long run), two random values for it, every truncation: rejected cleanly.

    The certificate is the one of a terminal that was never reached: what it embeds are bytes like any other here.
    """
    data = SMALL_CERTIFICATE if kind is Certificate else BY_KIND[kind]
    is_rejected = _reader(data, kind, monkeypatch)
    assert not is_rejected(data)
    survivors = [number for number, damaged in enumerate(_DAMAGE[damage](data)) if not is_rejected(damaged)]
    assert survivors == []


def test_a_damaged_file_is_rejected_by_the_verdict_as_a_whole() -> None:
    """The way of the auditor: one bit of every ninth byte, in certificate and closure, and every boundary."""
    file = DOCUMENTS.file
    judge(file, ANCHORS)
    damaged = [_flipped(file, position, position % 8) for position in range(0, len(file), 9)]
    ends = (0, 1, len(DOCUMENTS.certificate) - 1, len(DOCUMENTS.certificate) + 1, len(file) - 1)
    for data in (*damaged, *(file[:end] for end in ends), file + b"\0", file + DOCUMENTS.closure):
        with pytest.raises(DocumentError):
            judge(data, ANCHORS)


@pytest.mark.parametrize("part", ["order", "seal", "receipts", "evidence"])
def test_a_damaged_document_inside_is_rejected_whoever_signs_around_it(part: str) -> None:
    """A technician may sign what he likes: each byte of what he embeds carries another's signature."""
    certificate = open_document(DOCUMENTS.certificate, Certificate).body
    whole = getattr(certificate, part)
    for position in range(0, len(whole[0] if part == "receipts" else whole), 97):
        damaged: Any = (
            (_flipped(whole[0], position, 0),) if part == "receipts" else _flipped(whole, position, 0)
        )
        forged = issue(replace(certificate, **{part: damaged}), HANDS.technician)
        with pytest.raises(DocumentError):
            judge(forged, ANCHORS)


def _reader(data: bytes, kind: type[Any], monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], bool]:
    """Opens and authenticates. What depends on the certificates alone is judged once for the same certificates."""
    monkeypatch.setattr(cose, "key_id", functools.lru_cache(maxsize=8)(key_id))
    genuine = open_document(data, kind)
    key = authenticate(genuine, ANCHORS, AT).public_key

    def is_rejected(candidate: bytes) -> bool:
        try:
            signed = open_document(candidate, kind)
            if signed.sign1.chain == genuine.sign1.chain:
                cose.check_signature(signed.sign1, key)
            else:
                authenticate(signed, ANCHORS, AT)
        except DocumentError:
            return True
        return False

    return is_rejected


def _bits(data: bytes) -> Iterator[bytes]:
    return (_flipped(data, position, bit) for position in range(len(data)) for bit in range(8))


def _values(data: bytes) -> Iterator[bytes]:
    """Two values for each byte, neither its own; the seed makes every run the same."""
    chance = random.Random(20260101)
    for position, byte in enumerate(data):
        for _ in range(2):
            other = (byte + chance.randint(1, 255)) % 256
            yield data[:position] + bytes([other]) + data[position + 1 :]


def _truncations(data: bytes) -> Iterator[bytes]:
    return (data[:end] for end in range(len(data)))


def _growth(data: bytes) -> Iterator[bytes]:
    """A byte more at either end, or anywhere between."""
    return (data[:position] + b"\0" + data[position:] for position in range(len(data) + 1))


def _a_bit_of_each_byte(data: bytes) -> Iterator[bytes]:
    return (_flipped(data, position, position * 3 % 8) for position in range(len(data)))


_DAMAGE = {
    "a bit of each byte": _a_bit_of_each_byte,
    "bits": _bits,
    "values": _values,
    "truncations": _truncations,
    "growth": _growth,
}


def _flipped(data: bytes, position: int, bit: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1 :]


# --- roles ---------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
def test_only_the_right_role_signs_a_document(kind: type[Any], role: Role) -> None:
    """Every document, by a certified signer of every role, with a signature that is valid."""
    body = open_document(BY_KIND[kind], kind).body
    signed = open_document(issue(body, BY_ROLE[role]), kind)
    if role is SHAPES[kind].roles[0]:
        assert authenticate(signed, ANCHORS, AT).key_id == signed.sign1.kid
        return
    with pytest.raises(DocumentError, match=f"does not carry the role {SHAPES[kind].roles[0].value}"):
        authenticate(signed, ANCHORS, AT)


@every_kind
@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
def test_no_role_may_be_asked_for_that_never_signs_the_document(kind: type[Any], role: Role) -> None:
    signed = open_document(issue(open_document(BY_KIND[kind], kind).body, BY_ROLE[role]), kind)
    if role in SHAPES[kind].roles:
        assert authenticate(signed, ANCHORS, AT, role).role is role
        return
    with pytest.raises(DocumentError, match="never signs it"):
        authenticate(signed, ANCHORS, AT, role)


@every_kind
@pytest.mark.parametrize("other", BY_KIND, ids=lambda kind: f"as-{kind.__name__.lower()}")
def test_no_document_passes_for_another(kind: type[Any], other: type[Any]) -> None:
    if kind is other:
        return
    with pytest.raises(DocumentError, match=f"{other.__name__.lower()}, typ: is that of something else"):
        open_document(BY_KIND[kind], other)
    payload = cose.parse(BY_KIND[kind], SHAPES[kind].bytes_max).payload
    disguised = cose.sign(payload, SHAPES[other].typ, _hand(other))
    with pytest.raises(DocumentError, match=f"^{other.__name__.lower()}"):
        open_document(disguised, other)


def test_an_unknown_typ_is_no_document() -> None:
    data = cose.sign(b"\xa0", "application/vnd.posdecom.wish+cose", HANDS.order)
    with pytest.raises(DocumentError, match="names no document of this kind"):
        open_any(data)


# --- shape ---------------------------------------------------------------------------------------


@every_kind
def test_each_missing_unknown_and_repeated_field_is_refused(kind: type[Any]) -> None:
    shape = SHAPES[kind]
    payload = cbor.decode(cose.parse(BY_KIND[kind], shape.bytes_max).payload, "payload")
    assert isinstance(payload, dict)
    for label, field in shape.record.fields.items():
        if label in payload and not field.optional:
            less = {key: value for key, value in payload.items() if key != label}
            with pytest.raises(DocumentError, match=f"{field.name}: is missing"):
                open_document(cose.sign(cbor.encode(less), shape.typ, _hand(kind)), kind)
    more = cbor.encode({**payload, 99: 0})
    with pytest.raises(DocumentError, match="has unknown field 99"):
        open_document(cose.sign(more, shape.typ, _hand(kind)), kind)


@every_kind
def test_another_version_is_refused(kind: type[Any]) -> None:
    body = replace(open_document(BY_KIND[kind], kind).body, version=2)
    with pytest.raises(DocumentError, match=r"\.version: must be an integer from 1 to 1"):
        issue(body, _hand(kind))


@every_kind
def test_nothing_of_a_document_shows_in_its_repr(kind: type[Any]) -> None:
    signed = open_document(BY_KIND[kind], kind)
    kid = "".join(f"\\x{byte:02x}" for byte in signed.sign1.kid)
    shown = repr(signed)
    assert len(shown) < 200 + len(kid)
    assert "T-0001" not in shown and "622848" not in shown


def test_a_body_out_of_bounds_is_not_signed() -> None:
    with pytest.raises(DocumentError, match=r"order\.order_id: must be text of 1 to 64 characters"):
        issue(replace(order_body(), order_id=""), HANDS.order)
    with pytest.raises(DocumentError, match=r"order\.serial: has a character that does not show"):
        issue(replace(order_body(), serial="T-1\u202e00"), HANDS.order)


def test_an_evidence_of_another_profile_is_refused() -> None:
    evidence = open_document(DOCUMENTS.evidence, Evidence).body
    with pytest.raises(DocumentError, match="profile: must be tag:posdecom,2026:evidence/1"):
        issue(replace(evidence, profile="tag:example.org,2026:evidence"), HANDS.evidence)


def test_a_document_over_its_size_is_refused_before_it_is_read() -> None:
    with pytest.raises(DocumentError, match=r"98305 bytes; at most 98304"):
        open_document(bytes(96 * 1024 + 1), Order)


@pytest.mark.parametrize(
    ("change", "second"),
    [
        (as_it_is, False),
        (lambda one: replace(one, refused=replace(one.refused, count=1)), True),
        (lambda one: replace(one, refused=replace(one.refused, amount=1)), True),
        (lambda one: replace(one, undelivered=replace(one.undelivered, count=1)), True),
        (lambda one: replace(one, undelivered=replace(one.undelivered, amount=1)), True),
        (lambda one: replace(one, refusals=(Refusal(2, "96"),)), True),
        (lambda one: replace(one, withheld=replace(one.withheld, count=1, amount=1)), False),
    ],
)
def test_a_receipt_wants_a_second_signature_where_money_could_be_lost(
    change: Callable[[Any], Any], second: bool
) -> None:
    receipt = receipt_body(DOCUMENTS.order, DOCUMENTS.seal)
    changed = replace(receipt, contexts=tuple(change(one) for one in receipt.contexts))
    assert changed.needs_second_signature is second


# --- strangers -----------------------------------------------------------------------------------


@every_kind
def test_cwt_verifies_every_document(kind: type[Any]) -> None:
    cwt = pytest.importorskip("cwt", reason="cwt is not installed: it needs cbor2 below 6")
    sign1 = cose.parse(BY_KIND[kind], SHAPES[kind].bytes_max)
    key = cwt.COSEKey.from_pem(_public_pem(sign1.chain[0]), alg=-19, kid=sign1.kid)
    protected, unprotected, payload = cwt.COSE.new().decode_with_headers(BY_KIND[kind], key)
    assert payload == sign1.payload and unprotected == {}
    assert protected == {1: -19, 4: sign1.kid, 16: SHAPES[kind].typ.value, 33: sign1.chain[0]}
    with pytest.raises(cwt.VerifyError):
        cwt.COSE.new().decode(_flipped(BY_KIND[kind], len(BY_KIND[kind]) - 1, 0), key)


@every_kind
def test_openssl_verifies_every_document(kind: type[Any], tmp_path: Path) -> None:
    """Everything that goes to OpenSSL is cut out by cbor2 here, not by the code under test."""
    if shutil.which("openssl") is None:
        pytest.skip("OpenSSL's command line is not installed")
    protected, unprotected, payload, signature = cbor2.loads(BY_KIND[kind]).value
    (tmp_path / "key.pem").write_bytes(_public_pem(cbor2.loads(protected)[33]))
    signed = b"\x84\x6aSignature1" + cbor2.dumps(protected) + b"\x40" + cbor2.dumps(payload)
    assert _openssl_verifies(tmp_path, signed, signature) and unprotected == {}
    assert not _openssl_verifies(tmp_path, _flipped(signed, len(signed) - 1, 0), signature)


@every_kind
def test_cbor2_reads_every_payload_as_the_fields_of_its_body(kind: type[Any]) -> None:
    signed = open_document(BY_KIND[kind], kind)
    payload = cbor2.loads(cbor2.loads(signed.data).value[2])
    for label, field in SHAPES[kind].record.fields.items():
        value = getattr(signed.body, field.name)
        assert (label in payload) is (value is not None)
        if isinstance(value, int | str | bytes):
            assert payload[label] == value


def test_the_evidence_is_an_entity_attestation_token() -> None:
    """RFC 9711 section 4 and RFC 8392 by their registered numbers, written down again here."""
    claims = cbor2.loads(cbor2.loads(DOCUMENTS.evidence).value[2])
    iat, nonce, ueid, oemid, hwmodel, profile, bootcount, swname, swversion = (
        claims[label] for label in (6, 10, 256, 258, 259, 265, 267, 270, 271)
    )
    assert isinstance(iat, int) and 8 <= len(nonce) <= 64 and bootcount == 13
    assert 7 <= len(ueid) <= 33 and ueid[0] == 1 and len(oemid) == 16 and 1 <= len(hwmodel) <= 32
    assert profile.startswith("tag:") and isinstance(swname, str) and list(swversion) == ["1.0"]
    assert all(label > 0 or label < -65536 for label in claims)


def test_a_second_signature_covers_the_same_payload_in_other_bytes() -> None:
    first, second = write_chain(hands=TWO_HANDS).receipts
    assert open_document(first, Receipt).body == open_document(second, Receipt).body
    assert first != second
    assert authenticate(open_document(second, Receipt), ANCHORS, AT, Role.APPROVER).name == "approver"


def test_each_document_names_the_one_before_it_by_the_hash_of_all_its_bytes() -> None:
    documents: Documents = DOCUMENTS
    seal, receipt = open_document(documents.seal, Seal), open_document(documents.receipts[0], Receipt)
    evidence, closure = open_document(documents.evidence, Evidence), open_document(documents.closure, Closure)
    assert seal.body.order_digest == cose.digest(documents.order)
    assert receipt.body.seal_digest == evidence.body.seal_digest == seal.digest
    assert evidence.body.receipt_digests == (receipt.digest,)
    assert closure.body.certificate_digest == cose.digest(documents.certificate)


def _hand(kind: type[Any]) -> cose.SigningKey:
    return BY_ROLE[SHAPES[kind].roles[0]]


def _public_pem(certificate: bytes) -> bytes:
    key = x509.load_der_x509_certificate(certificate).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _openssl_verifies(folder: Path, message: bytes, signature: bytes) -> bool:
    (folder / "message").write_bytes(message)
    (folder / "signature").write_bytes(signature)
    command = "openssl pkeyutl -verify -rawin -pubin -inkey key.pem -in message -sigfile signature"
    return subprocess.run(command.split(), cwd=folder, capture_output=True, check=False).returncode == 0
