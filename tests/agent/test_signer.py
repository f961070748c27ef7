"""A signer is a key and the certificate over exactly that key; anything else is told by the file's name."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from document_chain import ACQUIRER, ANCHORS, Identity, order_body
from posdecom_agent.signer import load_signer
from posdecom_agent.site import SiteError
from posdecom_protocol.certificates import Role
from posdecom_protocol.documents import authenticate, issue, open_document
from posdecom_protocol.documents.order import Order

SIGNER = Identity("order signer")
PKCS8 = PrivateFormat.PKCS8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    key = SIGNER.private_key
    (der,) = SIGNER.hand(ACQUIRER, Role.ORDER).chain
    certificate = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
    other = Identity("somebody else").private_key
    files = {
        "key": key.private_bytes(Encoding.PEM, PKCS8, NoEncryption()),
        "other.key": other.private_bytes(Encoding.PEM, PKCS8, NoEncryption()),
        "locked.key": key.private_bytes(Encoding.PEM, PKCS8, BestAvailableEncryption(b"word")),
        "ec.key": ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PKCS8, NoEncryption()),
        "der.key": key.private_bytes(Encoding.DER, PKCS8, NoEncryption()),
        "chain": certificate,
        "garbage": b"\x00\xff",
        "empty": b"",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_what_it_signs_holds_under_its_certificate(folder: Path) -> None:
    data = issue(order_body(), load_signer(folder / "key", folder / "chain"))
    signer = authenticate(open_document(data, Order), ANCHORS, at=None)
    assert signer.name == SIGNER.name


@pytest.mark.parametrize(
    ("key", "chain", "said"),
    [
        ("other.key", "chain", "/other.key is not the key of "),
        ("locked.key", "chain", "/locked.key is no unencrypted PEM private key"),
        ("der.key", "chain", "/der.key is no unencrypted PEM private key"),
        ("garbage", "chain", "/garbage is no unencrypted PEM private key"),
        ("empty", "chain", "/empty is no unencrypted PEM private key"),
        ("chain", "chain", "/chain is no unencrypted PEM private key"),
        ("ec.key", "chain", "/ec.key is no Ed25519 key"),
        ("key", "garbage", "/garbage: "),
        ("key", "empty", "/empty: "),
        ("key", "key", "/key: "),
    ],
)
def test_what_is_no_signer_is_told_by_its_file(folder: Path, key: str, chain: str, said: str) -> None:
    with pytest.raises(SiteError) as caught:
        load_signer(folder / key, folder / chain)
    assert said in str(caught.value)


@pytest.mark.parametrize(("key", "chain"), [("none", "chain"), ("key", "none")])
def test_a_missing_file_stays_one(folder: Path, key: str, chain: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        load_signer(folder / key, folder / chain)
    assert caught.value.filename == str(folder / "none")
