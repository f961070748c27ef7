"""COSE_Sign1 in its one shape, built here from its bytes; RFC 9052 sections 4.2 and 4.4, RFC 9360 section 2."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from document_chain import ANCHORS, HANDS, NOW, Identity
from posdecom_protocol import cose
from posdecom_protocol.certificates import Role
from posdecom_protocol.cose import (
    Sign1,
    SigningKey,
    check_signature,
    digest,
    parse,
    sign,
    to_be_signed,
    verify,
)
from posdecom_protocol.errors import DocumentError

KEY = HANDS.order
LEAF = KEY.chain[0]
SPKI = (
    Identity("order signer")
    .private_key.public_key()
    .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)
KID = hashlib.sha256(SPKI).digest()[:8]
PAYLOAD = b"\xa1\x01\x01"
TYP = "application/example+cose"
HEADER: dict[Any, Any] = {1: -19, 4: KID, 16: TYP, 33: LEAF}


def wrap(header: Any, signature: bytes | None = None, payload: bytes = PAYLOAD) -> bytes:
    """A signed object with this protected header, by `cbor2` alone; signed by ``KEY`` unless a signature is given."""
    protected = header if isinstance(header, bytes) else cbor2.dumps(header, canonical=True)
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature or KEY.sign(signed)]))


def refused(data: bytes, match: str) -> None:
    with pytest.raises(DocumentError, match=match):
        parse(data, 10_000)


def test_a_signed_object_is_what_the_standard_says_byte_for_byte() -> None:
    assert sign(PAYLOAD, TYP, KEY) == wrap(HEADER)


def test_it_parses_into_its_parts() -> None:
    signed = parse(wrap(HEADER), 10_000)
    assert signed.protected == cbor2.dumps(HEADER, canonical=True)
    assert (signed.kid, signed.typ, signed.chain, signed.payload) == (KID, TYP, (LEAF,), PAYLOAD)
    assert verify(signed, ANCHORS, Role.ORDER, NOW).key_id == KID


def test_what_is_signed_is_the_sig_structure() -> None:
    """RFC 9052 section 4.4: context, protected header, no external data, payload."""
    assert to_be_signed(b"\xa0", b"pay") == bytes.fromhex("846a5369676e617475726531 41a0 40 43706179")


@pytest.mark.parametrize(
    ("reason", "header"),
    [
        ("alg must be -19", {**HEADER, 1: -8}),
        ("alg must be -19", {**HEADER, 1: -7}),
        ("alg must be -19", {**HEADER, 1: "EdDSA"}),
        ("and nothing else", {**HEADER, 3: 0}),
        ("and nothing else", {**HEADER, 2: (16,)}),
        ("and nothing else", {}),
        ("and nothing else", ()),
        ("and nothing else", (1, 4, 16, 33)),
        *(("and nothing else", {k: v for k, v in HEADER.items() if k != label}) for label in HEADER),
        ("kid is not the certificate's", {**HEADER, 4: bytes(8)}),
        ("kid is not the certificate's", {**HEADER, 4: KID[:7]}),
        ("kid is not the certificate's", {**HEADER, 4: 1}),
        ("typ is no text", {**HEADER, 16: 1}),
        ("typ is no text", {**HEADER, 16: TYP.encode()}),
        ("x5chain: is no certificate and no array of 2 to 3", {**HEADER, 33: (LEAF,)}),
        ("x5chain: is no certificate and no array of 2 to 3", {**HEADER, 33: (LEAF,) * 4}),
        ("x5chain: is no certificate and no array of 2 to 3", {**HEADER, 33: ()}),
        ("x5chain: is no certificate and no array of 2 to 3", {**HEADER, 33: 1}),
        ("x5chain: holds something that is no certificate", {**HEADER, 33: (LEAF, 1)}),
        ("certificate chain: not a DER certificate", {**HEADER, 33: b""}),
        ("certificate chain: not a DER certificate", {**HEADER, 33: LEAF + b"\0"}),
        ("protected header: ", b""),
        ("protected header: ", b"\xa0\xa0"),
        ("protected header: map key", {**HEADER, "x": 0}),
    ],
)
def test_a_protected_header_has_one_shape(reason: str, header: Any) -> None:
    refused(wrap(header), reason)


SIGNATURE = bytes(64)


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("is no array of four", [b"", {}, b""]),
        ("is no array of four", [b"", {}, b"", SIGNATURE, 0]),
        ("is no array of four", {0: 0}),
        ("is no array of four", {0: 0, 1: 0, 2: 0, 3: 0}),
        ("has an unprotected header", [b"", {4: b""}, b"", SIGNATURE]),
        ("has an unprotected header", [b"", [], b"", SIGNATURE]),
        ("has an unprotected header", [b"", False, b"", SIGNATURE]),
        ("protected header or payload is no byte string", ["", {}, b"", SIGNATURE]),
        ("protected header or payload is no byte string", [{}, {}, b"", SIGNATURE]),
        ("protected header or payload is no byte string", [b"", {}, 1, SIGNATURE]),
        ("signature is not 64 bytes", [b"", {}, b"", SIGNATURE[:-1]]),
        ("signature is not 64 bytes", [b"", {}, b"", SIGNATURE + b"\0"]),
        ("signature is not 64 bytes", [b"", {}, b"", "x" * 64]),
        ("tag, float or simple value", [b"", {}, None, SIGNATURE]),
    ],
)
def test_the_array_has_one_shape(reason: str, value: Any) -> None:
    refused(b"\xd2" + cbor2.dumps(value), reason)


@pytest.mark.parametrize(
    "retag",
    [
        lambda data: data[1:],
        lambda data: b"\xd8\x12" + data[1:],
        lambda data: b"\xd8\x62" + data[1:],
        lambda data: b"\xd2" + data,
        lambda data: b"\xd9\xd9\xf7" + data,
        lambda _data: b"",
    ],
    ids=["untagged", "long head", "COSE_Sign", "twice", "self-described", "nothing"],
)
def test_it_starts_with_tag_18_in_its_one_byte(retag: Callable[[bytes], bytes]) -> None:
    refused(retag(wrap(HEADER)), "^document: ")


def test_bytes_behind_it_and_bytes_over_the_limit_are_refused() -> None:
    data = wrap(HEADER)
    assert parse(data, len(data)).typ == TYP
    with pytest.raises(DocumentError, match=f"{len(data)} bytes; at most {len(data) - 1}"):
        parse(data, len(data) - 1)
    refused(data + b"\0", "bytes after the end")


def test_a_signature_holds_for_one_header_one_payload_and_one_key() -> None:
    signed = parse(wrap(HEADER), 10_000)
    key = Identity("order signer").private_key.public_key().public_bytes_raw()
    check_signature(signed, key)
    other = Identity("approver").private_key.public_key().public_bytes_raw()
    wrong: list[tuple[Sign1, bytes]] = [
        (signed, other),
        (signed, bytes(32)),
        (signed, key[:31]),
        (replace(signed, payload=PAYLOAD + b"\0"), key),
        (replace(signed, protected=signed.protected + b"\0"), key),
        (replace(signed, signature=SIGNATURE), key),
    ]
    for one, public_key in wrong:
        with pytest.raises(DocumentError, match="signature: is not valid"):
            check_signature(one, public_key)


def test_a_signature_that_was_found_good_vouches_for_no_other_bytes_and_no_other_key() -> None:
    """Good ones are remembered; asked again, and in any order, each is judged as if it were the first."""
    signed = parse(wrap(HEADER), 10_000)
    key, other_key = (
        Identity(name).private_key.public_key().public_bytes_raw() for name in ("order signer", "another")
    )
    for _ in range(2):
        check_signature(signed, key)
        for forged, under in ((replace(signed, payload=b"\xa1\x01\x02"), key), (signed, other_key)):
            with pytest.raises(DocumentError, match="signature"):
                check_signature(forged, under)


def test_a_signature_has_no_second_form() -> None:
    """RFC 8032 section 5.1.7: S must be below the group order, or S + L would verify as well."""
    order = 2**252 + 27742317777372353535851937790883648493
    signed = parse(wrap(HEADER), 10_000)
    scalar = int.from_bytes(signed.signature[32:], "little") + order
    twin = replace(signed, signature=signed.signature[:32] + scalar.to_bytes(32, "little"))
    with pytest.raises(DocumentError, match="signature: is not valid"):
        check_signature(twin, Identity("order signer").private_key.public_key().public_bytes_raw())


def test_a_signature_by_another_key_than_the_certificates_is_refused() -> None:
    forged = SigningKey(Identity("mallory").private_key.sign, KEY.chain)
    with pytest.raises(DocumentError, match="signature: is not valid"):
        verify(parse(sign(PAYLOAD, TYP, forged), 10_000), ANCHORS, Role.ORDER, NOW)


def test_a_chain_of_several_certificates_is_an_array_leaf_first() -> None:
    two = SigningKey(KEY.sign, (LEAF, HANDS.release.chain[0]))
    data = sign(PAYLOAD, TYP, two)
    assert data == wrap({**HEADER, 33: [LEAF, HANDS.release.chain[0]]})
    assert parse(data, 10_000).chain == two.chain
    with pytest.raises(DocumentError, match="certificate 0 is not signed by the next"):
        verify(parse(data, 10_000), ANCHORS, Role.ORDER, NOW)


@pytest.mark.parametrize("certificates", [1, 2, 3])
def test_up_to_three_certificates_are_read(certificates: int) -> None:
    """The shape only: whether one issued the other is `verify`'s business."""
    chain = (LEAF,) * certificates
    assert parse(sign(PAYLOAD, TYP, SigningKey(KEY.sign, chain)), 10_000).chain == chain


def test_the_time_of_signing_is_judged_only_when_it_is_given() -> None:
    signed = parse(wrap(HEADER), 10_000)
    assert verify(signed, ANCHORS, Role.ORDER, None).role is Role.ORDER
    with pytest.raises(DocumentError, match="not yet valid"):
        verify(signed, ANCHORS, Role.ORDER, 0.0)


def test_neither_key_nor_payload_shows_in_a_repr() -> None:
    assert repr(KEY) == f"SigningKey(kid={KID.hex()})"
    assert "\\xa1\\x01\\x01" not in repr(parse(wrap(HEADER), 10_000))


def test_a_digest_is_sha256_of_all_bytes() -> None:
    assert digest(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert cose.SIGNATURE_BYTES == 64
