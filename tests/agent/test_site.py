"""The technician's folder: what is accepted, and what each refusal tells the technician to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from posdecom_agent.site import FILE_BYTES_MAX, SiteError, TechnicianSite
from posdecom_simulator.provision import Site, provision

NOW = 1_790_000_000.0
DAY = 86_400.0


@pytest.fixture
def demo(tmp_path: Path) -> Site:
    return provision(tmp_path / "demo", seed=1, now=NOW)


def refusal(folder: Path) -> str:
    with pytest.raises(SiteError) as caught:
        TechnicianSite.load(folder)
    return str(caught.value)


def test_a_folder_gives_paths_chain_anchors_and_a_signing_key(demo: Site) -> None:
    site = TechnicianSite.load(demo.technician)
    assert site.key_path == demo.technician / "technician.key"
    assert site.chain_path == demo.technician / "technician.pem"
    assert site.technician.name == "Demo Technician"
    assert site.anchors.pem() == demo.trust.read_bytes()
    signature = site.signing_key().sign(b"document")
    Ed25519PublicKey.from_public_bytes(site.technician.public_key).verify(signature, b"document")
    assert site.signing_key().chain == site.chain


def test_the_key_does_not_show(demo: Site) -> None:
    assert "PrivateKey" not in repr(TechnicianSite.load(demo.technician))


@pytest.mark.parametrize("name", ["technician.key", "technician.pem", "anchors.pem"])
def test_a_missing_file_is_named(demo: Site, name: str) -> None:
    (demo.technician / name).unlink()
    assert refusal(demo.technician) == (f"{demo.technician / name} cannot be read: No such file or directory")


def test_a_key_that_others_can_read_is_refused(demo: Site) -> None:
    path = demo.technician / "technician.key"
    path.chmod(0o640)
    assert refusal(demo.technician) == f"{path} is open to other users: chmod 600 it"


def pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey, *, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        (b"no key", "is no unencrypted PEM private key"),
        (pem(Ed25519PrivateKey.generate(), password=b"secret"), "is no unencrypted PEM private key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "is no Ed25519 key"),
        (pem(Ed25519PrivateKey.generate()), "is not the key of technician.pem"),
    ],
    ids=["garbage", "encrypted", "P-256", "another"],
)
def test_a_key_that_cannot_be_used_is_refused(demo: Site, key: bytes, complaint: str) -> None:
    path = demo.technician / "technician.key"
    path.write_bytes(key)
    assert refusal(demo.technician) == f"{path} {complaint}"


def test_a_certificate_without_the_technicians_roles_is_refused(demo: Site) -> None:
    certificate = (demo.acquirer / "order.pem").read_bytes()
    (demo.technician / "technician.pem").write_bytes(certificate)
    assert "does not carry the role technician" in refusal(demo.technician)


def test_a_certificate_of_an_unknown_authority_is_refused(demo: Site) -> None:
    (demo.technician / "anchors.pem").write_bytes((demo.directory / "authorities/acquirer.pem").read_bytes())
    assert refusal(demo.technician).endswith("certificate chain: not issued by a trusted authority")


def test_a_file_that_cannot_be_a_certificate_is_not_read_whole(demo: Site) -> None:
    (demo.technician / "anchors.pem").write_bytes(b" " * (FILE_BYTES_MAX + 1))
    assert re.search(r"anchors\.pem is larger than \d+ bytes", refusal(demo.technician))


def test_an_expired_certificate_is_said_before_a_terminal_refuses_it(demo: Site) -> None:
    site = TechnicianSite.load(demo.technician)  # loading does not ask for the time
    site.check_dates(NOW)
    with pytest.raises(SiteError, match=r"expired on 2026-09-22 \d\d:\d\d UTC: ask for a new one"):
        site.check_dates(NOW + DAY)
    with pytest.raises(SiteError, match=r"is valid from 2026-09-21 .* on: check the clock"):
        site.check_dates(NOW - DAY)
