"""Roles along a chain. The certificates here are built by hand, so that each can be wrong in exactly one way."""

from __future__ import annotations

import datetime
import hashlib
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from posdecom_protocol.certificates import (
    ROLE_ARC,
    ROLE_OIDS,
    Anchors,
    Role,
    Signer,
    key_id,
    load_anchors,
    load_chain,
    validate,
)
from posdecom_protocol.errors import DocumentError

NOW = 1_790_000_000.0
DAY = 86_400.0


def private_key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


@dataclass(frozen=True)
class Plan:
    """A certificate to build; a field that a test writes is the one that matters."""

    name: str = "leaf"
    issuer: str = "root"
    ca: bool = False
    path_length: int | None = None
    digital_signature: bool = True
    key_cert_sign: bool = False
    roles: tuple[Role, ...] = (Role.RELEASE,)
    not_before: float = NOW - DAY
    not_after: float = NOW + DAY
    serial_numbers: tuple[str, ...] = ()
    without: type[x509.ExtensionType] | None = None
    also: tuple[x509.Extension[x509.ExtensionType], ...] = ()
    public_key: Ed25519PublicKey | ec.EllipticCurvePublicKey | None = None
    signing_key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey | None = None


LEAF = Plan()
CA = Plan(name="middle", ca=True, digital_signature=False, key_cert_sign=True)
ROOT = replace(CA, name="root")


def x509_name(common_name: str, serial_numbers: tuple[str, ...] = ()) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    attributes += [x509.NameAttribute(NameOID.SERIAL_NUMBER, number) for number in serial_numbers]
    return x509.Name(attributes)


def extensions(plan: Plan) -> list[x509.Extension[x509.ExtensionType]]:
    usage = [plan.digital_signature, *[False] * 4, plan.key_cert_sign, *[False] * 3]
    standard: list[tuple[bool, x509.ExtensionType]] = [
        (True, x509.BasicConstraints(plan.ca, plan.path_length)),
        (True, x509.KeyUsage(*usage)),
        (False, x509.ExtendedKeyUsage([ROLE_OIDS[role] for role in plan.roles])),
    ]
    kept = [x509.Extension(value.oid, critical, value) for critical, value in standard]
    return [one for one in kept if plan.without is None or one.oid != plan.without.oid] + list(plan.also)


def build(plan: Plan) -> bytes:
    builder = x509.CertificateBuilder(
        issuer_name=x509_name(plan.issuer),
        subject_name=x509_name(plan.name, plan.serial_numbers),
        public_key=plan.public_key or private_key(plan.name).public_key(),
        serial_number=7,
        not_valid_before=datetime.datetime.fromtimestamp(plan.not_before, datetime.UTC).replace(tzinfo=None),
        not_valid_after=datetime.datetime.fromtimestamp(plan.not_after, datetime.UTC).replace(tzinfo=None),
        extensions=extensions(plan),
    )
    if isinstance(plan.signing_key, ec.EllipticCurvePrivateKey):
        return builder.sign(plan.signing_key, hashes.SHA256()).public_bytes(Encoding.DER)
    return builder.sign(plan.signing_key or private_key(plan.issuer), None).public_bytes(Encoding.DER)


def anchors(*plans: Plan) -> Anchors:
    return load_anchors(b"".join(pem(build(plan)) for plan in plans))


def pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def refusal(*chain: Plan, root: Plan = ROOT, role: Role = Role.RELEASE, at: float | None = NOW) -> str:
    trusted = anchors(root)
    with pytest.raises(DocumentError) as caught:
        validate([build(plan) for plan in chain], trusted, role, at)
    assert caught.value.where == "certificate chain"
    return caught.value.reason


# --- what is accepted -----------------------------------------------------------------------------------------


def test_a_leaf_issued_by_an_anchor_is_a_signer_with_everything_that_documents_need() -> None:
    signer = validate([build(replace(LEAF, serial_numbers=("PD-000001",)))], anchors(ROOT), Role.RELEASE, NOW)
    der = private_key("leaf").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    root_der = private_key("root").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert signer == Signer(
        role=Role.RELEASE,
        public_key=private_key("leaf").public_key().public_bytes_raw(),
        key_id=hashlib.sha256(der).digest()[:8],
        serial_number="PD-000001",
        name="leaf",
        issuer_id=hashlib.sha256(root_der).digest(),
        not_before=NOW - DAY,
        not_after=NOW + DAY,
    )


def test_two_intermediates_are_accepted_and_the_issuer_is_the_anchor() -> None:
    chain = [
        replace(LEAF, issuer="lower"),
        replace(CA, name="lower", issuer="upper", path_length=0),
        replace(CA, name="upper", path_length=1),
    ]
    signer = validate([build(plan) for plan in chain], anchors(ROOT), Role.RELEASE, NOW)
    assert signer.issuer_id == validate([build(LEAF)], anchors(ROOT), Role.RELEASE, NOW).issuer_id


def test_a_leaf_without_serial_number_has_an_empty_one() -> None:
    assert validate([build(LEAF)], anchors(ROOT), Role.RELEASE, NOW).serial_number == ""


def test_anchors_of_the_same_name_are_told_apart_by_their_signature() -> None:
    other = private_key("the key before")
    renewed = replace(ROOT, public_key=other.public_key(), signing_key=other)
    both, leaf = anchors(renewed, ROOT), replace(LEAF, signing_key=other)
    issuers = {validate([build(plan)], both, Role.RELEASE, NOW).issuer_id for plan in (LEAF, leaf)}
    assert len(issuers) == 2


def test_the_key_id_of_a_certificate_is_the_signers() -> None:
    assert key_id(build(LEAF)) == validate([build(LEAF)], anchors(ROOT), Role.RELEASE, NOW).key_id


@pytest.mark.parametrize("at", [NOW - DAY, NOW, NOW + DAY, None])
def test_both_ends_of_the_validity_count_and_none_judges_no_date(at: float | None) -> None:
    assert validate([build(LEAF)], anchors(ROOT), Role.RELEASE, at).role is Role.RELEASE


def test_no_dates_are_judged_where_the_caller_has_no_plausible_clock() -> None:
    ancient = replace(LEAF, not_before=0.0, not_after=DAY)
    assert validate([build(ancient)], anchors(ROOT), Role.RELEASE, None).not_after == DAY


# --- roles ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", Role)
@pytest.mark.parametrize("held", Role)
def test_every_role_opens_its_own_door_and_no_other(held: Role, asked: Role) -> None:
    root, leaf = replace(ROOT, roles=tuple(Role)), replace(LEAF, roles=(held,))
    if asked is held:
        assert validate([build(leaf)], anchors(root), asked, NOW).role is asked
    else:
        assert refusal(leaf, root=root, role=asked) == f"a certificate does not carry the role {asked.value}"


def test_an_authority_cannot_issue_a_role_that_its_own_certificate_lacks() -> None:
    technicians = replace(ROOT, roles=(Role.TECHNICIAN, Role.TECHNICIAN_CHANNEL))
    assert refusal(LEAF, root=technicians) == "a certificate does not carry the role release"


def test_an_intermediate_cannot_issue_a_role_that_its_own_certificate_lacks() -> None:
    middle = replace(CA, roles=(Role.ORDER,))
    reason = refusal(replace(LEAF, issuer="middle"), middle, root=replace(ROOT, roles=tuple(Role)))
    assert reason == "a certificate does not carry the role release"


def test_any_extended_key_usage_is_no_role() -> None:
    anything = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    leaf = replace(LEAF, without=x509.ExtendedKeyUsage, also=(x509.Extension(anything.oid, False, anything),))
    assert refusal(leaf) == "a certificate does not carry the role release"


def test_the_role_numbers_are_fixed() -> None:
    assert [oid.dotted_string.removeprefix(ROLE_ARC + ".") for oid in ROLE_OIDS.values()] == list("12345678")
    assert list(ROLE_OIDS) == [
        Role.ORDER,
        Role.RELEASE,
        Role.APPROVER,
        Role.TERMINAL,
        Role.TECHNICIAN,
        Role.TERMINAL_CHANNEL,
        Role.TECHNICIAN_CHANNEL,
        Role.MAKER,
    ]


# --- links ----------------------------------------------------------------------------------------------------


def test_a_leaf_of_an_unknown_authority_is_refused() -> None:
    assert refusal(replace(LEAF, issuer="stranger")) == "not issued by a trusted authority"


def test_a_stranger_who_takes_the_anchors_name_is_refused() -> None:
    assert refusal(replace(LEAF, signing_key=private_key("stranger"))) == "not issued by a trusted authority"


def test_a_leaf_that_its_intermediate_did_not_sign_is_refused() -> None:
    leaf = replace(LEAF, issuer="middle", signing_key=private_key("stranger"))
    assert refusal(leaf, CA) == "certificate 0 is not signed by the next"


def test_a_chain_out_of_order_is_refused() -> None:
    assert refusal(CA, replace(LEAF, issuer="middle")) == "certificate 0 is not signed by the next"


def test_nothing_is_valid_without_anchors() -> None:
    with pytest.raises(DocumentError, match="not issued by a trusted authority"):
        validate([build(LEAF)], Anchors(), Role.RELEASE, NOW)


def test_the_anchor_itself_does_not_belong_into_the_chain() -> None:
    assert refusal(LEAF, ROOT) == "the anchor itself is in the chain"


def test_an_empty_chain_and_a_long_one_are_refused_before_anything_is_parsed() -> None:
    for count in (0, 4):
        with pytest.raises(DocumentError, match=f"{count} certificates, not 1 to 3"):
            validate([b"garbage"] * count, anchors(ROOT), Role.RELEASE, NOW)


def test_a_chain_is_read_from_a_pem_file_leaf_first_and_not_judged() -> None:
    leaf, middle = build(replace(LEAF, issuer="middle")), build(replace(CA, ca=False))
    assert load_chain(pem(leaf) + pem(middle)) == (leaf, middle)


def test_a_pem_file_without_certificates_or_with_too_many_is_no_chain() -> None:
    for wrong in (b"", b"no PEM", pem(build(LEAF)) * 4):
        with pytest.raises(DocumentError, match=r"^certificate chain: "):
            load_chain(wrong)


# --- constraints ----------------------------------------------------------------------------------------------


def test_an_issuer_without_the_ca_flag_is_refused() -> None:
    middle = replace(CA, ca=False)
    assert refusal(replace(LEAF, issuer="middle"), middle) == "an issuer is not a CA"


def test_an_issuer_that_may_not_sign_certificates_is_refused() -> None:
    middle = replace(CA, key_cert_sign=False)
    reason = refusal(replace(LEAF, issuer="middle"), middle)
    assert reason == "an issuer's key usage does not allow signing certificates"


def test_a_ca_is_no_signer() -> None:
    assert refusal(CA) == "the signer is a CA"


def test_a_leaf_that_may_not_sign_is_refused() -> None:
    assert refusal(replace(LEAF, digital_signature=False)) == (
        "the signer's key usage does not allow signatures"
    )


def test_a_path_longer_than_a_ca_allows_is_refused() -> None:
    reason = refusal(replace(LEAF, issuer="middle"), CA, root=replace(ROOT, path_length=0))
    assert reason == "more CAs than an issuer's path length allows"


@pytest.mark.parametrize("missing", [x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage])
def test_every_certificate_states_constraints_usage_and_roles(missing: type[x509.ExtensionType]) -> None:
    assert refusal(replace(LEAF, without=missing)) == "a certificate lacks constraints, key usage or roles"


def test_a_critical_extension_that_is_not_understood_is_refused() -> None:
    limits = x509.NameConstraints([x509.DNSName("example")], None)
    reason = refusal(replace(LEAF, also=(x509.Extension(limits.oid, True, limits),)))
    assert reason == "a certificate has an unknown critical extension"


def test_a_repeated_serial_number_is_refused_since_readers_would_differ() -> None:
    reason = refusal(replace(LEAF, serial_numbers=("PD-000001", "PD-000002")))
    assert reason == "a subject attribute is repeated, too long or not printable"


def test_a_serial_number_over_64_characters_is_refused() -> None:
    at_most = replace(LEAF, serial_numbers=("9" * 64,))
    assert validate([build(at_most)], anchors(ROOT), Role.RELEASE, NOW).serial_number == "9" * 64
    reason = refusal(replace(LEAF, serial_numbers=("9" * 65,)))
    assert reason == "a subject attribute is repeated, too long or not printable"


def test_a_name_that_would_drive_the_screen_is_refused() -> None:
    reason = refusal(replace(LEAF, name="\x1b[2J"))
    assert reason == "a subject attribute is repeated, too long or not printable"


# --- time -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", ["leaf", "middle", "root"])
def test_one_expired_certificate_anywhere_in_the_path_is_enough(late: str) -> None:
    leaf, middle, root = (
        replace(plan, not_after=NOW - 1) if plan.name == late else plan
        for plan in (replace(LEAF, issuer="middle"), CA, ROOT)
    )
    assert refusal(leaf, middle, root=root) == "a certificate has expired"


@pytest.mark.parametrize("early", ["leaf", "middle", "root"])
def test_one_certificate_from_the_future_anywhere_in_the_path_is_enough(early: str) -> None:
    leaf, middle, root = (
        replace(plan, not_before=NOW + 1) if plan.name == early else plan
        for plan in (replace(LEAF, issuer="middle"), CA, ROOT)
    )
    assert refusal(leaf, middle, root=root) == "a certificate is not yet valid"


# --- bytes ----------------------------------------------------------------------------------------------------


def test_a_p256_key_is_refused_though_an_ed25519_anchor_signed_it() -> None:
    leaf = replace(LEAF, public_key=ec.generate_private_key(ec.SECP256R1()).public_key())
    assert refusal(leaf) == "a certificate is not Ed25519 throughout"


def test_a_p256_signature_is_refused_though_the_key_in_it_is_ed25519() -> None:
    leaf = replace(LEAF, signing_key=ec.generate_private_key(ec.SECP256R1()))
    assert refusal(leaf) == "a certificate is not Ed25519 throughout"


def test_every_change_of_one_byte_is_refused() -> None:
    der, trusted = build(LEAF), anchors(ROOT)
    for position in range(len(der)):
        changed = bytearray(der)
        changed[position] ^= 1 << (position % 8)
        with pytest.raises(DocumentError):
            validate([bytes(changed)], trusted, Role.RELEASE, NOW)


def test_every_truncation_and_a_trailing_byte_are_refused() -> None:
    der, trusted = build(LEAF), anchors(ROOT)
    for wrong in [der[:length] for length in range(len(der))] + [der + b"\0"]:
        with pytest.raises(DocumentError):
            validate([wrong], trusted, Role.RELEASE, NOW)


@given(st.binary(max_size=300))
def test_garbage_is_a_document_error_and_nothing_else(garbage: bytes) -> None:
    with pytest.raises(DocumentError):
        key_id(garbage)


# --- anchors --------------------------------------------------------------------------------------------------


def test_a_bundle_is_written_as_it_was_read() -> None:
    bundle = pem(build(ROOT)) + pem(build(replace(ROOT, name="second", issuer="second")))
    assert load_anchors(bundle).pem() == bundle
    assert load_anchors(bundle + bundle) == load_anchors(bundle)
    assert repr(load_anchors(bundle)) == "Anchors(root, second)"


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (replace(ROOT, ca=False), "an issuer is not a CA"),
        (replace(ROOT, key_cert_sign=False), "an issuer's key usage does not allow signing certificates"),
        (replace(ROOT, without=x509.ExtendedKeyUsage), "a certificate lacks constraints, key usage or roles"),
        (replace(ROOT, issuer="other"), "a certificate is not signed by itself"),
        (replace(ROOT, signing_key=private_key("other")), "a certificate is not signed by itself"),
    ],
)
def test_an_anchor_is_a_self_signed_authority_with_roles(plan: Plan, reason: str) -> None:
    with pytest.raises(DocumentError) as caught:
        anchors(plan)
    assert (caught.value.where, caught.value.reason) == ("trust anchors", reason)


@pytest.mark.parametrize("bundle", [b"", b"no PEM", pem(build(ROOT))[:-40], pem(build(ROOT))[28:]])
def test_what_is_no_bundle_is_refused(bundle: bytes) -> None:
    with pytest.raises(DocumentError, match="no PEM bundle of certificates"):
        load_anchors(bundle)


def test_a_private_key_has_no_place_in_a_bundle_that_is_handed_around() -> None:
    key = private_key("root").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(DocumentError, match="the bundle holds a private key"):
        load_anchors(pem(build(ROOT)) + key)


# --- an independent judge -------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs OpenSSL's command line")
def test_openssl_accepts_the_same_path(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(pem(build(ROOT)))
    (tmp_path / "middle.pem").write_bytes(pem(build(CA)))
    (tmp_path / "leaf.pem").write_bytes(pem(build(replace(LEAF, issuer="middle"))))
    command = ["openssl", "verify", "-attime", str(int(NOW)), "-CAfile", "root.pem", "-untrusted"]
    done = subprocess.run(
        [*command, "middle.pem", "leaf.pem"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "leaf.pem: OK", done.stderr
