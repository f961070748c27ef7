"""The README's first command, and its certificate in the eyes of two strangers: `cwt` and OpenSSL's command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cbor2
import cwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.certificate import Certificate
from posdecom_protocol.verdict import split
from real_parts import LIMIT_S


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, subprocess.CompletedProcess[str]]]:
    """One demo as a newcomer runs it, but with fewer transactions."""
    out = tmp_path_factory.mktemp("demo") / "out"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "posdecom_agent",
            "demo",
            "--transactions",
            "40",
            "--seed",
            "7",
            "--out",
            str(out),
        ],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=LIMIT_S,
        check=False,
    )
    yield out, done


def documents(out: Path) -> dict[str, bytes]:
    """The six documents of the demo's certificate file, by name."""
    certificate, closure = split((out / "certificate.posdecom").read_bytes())
    body = open_document(certificate, Certificate).body
    assert body.order is not None
    assert body.seal is not None
    assert body.evidence is not None
    return {
        "order": body.order,
        "seal": body.seal,
        "receipt": body.receipts[0],
        "evidence": body.evidence,
        "certificate": certificate,
        "closure": closure,
    }


def test_the_demo_completes_and_leaves_what_anybody_needs_to_verify(
    demo: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, done = demo
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("COMPLETE") == 2
    assert str(out / "certificate.posdecom") in done.stdout
    trust = (out / "trust.pem").read_text(encoding="ascii")
    assert trust.count("BEGIN CERTIFICATE") == 3
    assert "PRIVATE" not in trust


def test_verify_needs_only_the_file_and_the_trust_anchors(
    demo: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    out, _ = demo
    for name in ("certificate.posdecom", "trust.pem"):
        shutil.copy(out / name, tmp_path / name)
    verified = subprocess.run(
        [
            sys.executable,
            "-m",
            "posdecom_agent",
            "verify",
            "certificate.posdecom",
            "--trust",
            "trust.pem",
            "--json",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=LIMIT_S,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
    result = json.loads(verified.stdout)
    assert result["schema"] == "posdecom/verify/1"
    assert result["state"] == "complete"


@pytest.mark.parametrize("name", ["order", "seal", "receipt", "evidence", "certificate", "closure"])
def test_cwt_verifies_each_document(name: str, demo: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    data = documents(demo[0])[name]
    protected, _, payload, _ = cbor2.loads(data).value
    leaf = x509.load_der_x509_certificate(cbor2.loads(protected)[33])
    key = cwt.COSEKey.from_pem(
        leaf.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        kid=cbor2.loads(protected)[4],
        alg="Ed25519",
    )
    assert cwt.COSE.new().decode(data, key) == payload


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs OpenSSL's command line")
@pytest.mark.parametrize("name", ["order", "seal", "receipt", "evidence", "certificate", "closure"])
def test_openssl_verifies_each_document_and_its_signers_chain(
    name: str, demo: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    out = demo[0]
    protected, _, payload, signature = cbor2.loads(documents(out)[name]).value
    leaf = x509.load_der_x509_certificate(cbor2.loads(protected)[33])
    (tmp_path / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (tmp_path / "public.pem").write_bytes(
        leaf.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "signed").write_bytes(cbor2.dumps(["Signature1", protected, b"", payload]))
    (tmp_path / "signature").write_bytes(signature)
    verify = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem", "-in", "signed",
              "-sigfile", "signature"]  # fmt: skip
    chain = ["openssl", "verify", "-CAfile", str(out / "trust.pem"), "-purpose", "any", "leaf.pem"]
    for command in (verify, chain):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout


def test_a_changed_byte_in_the_file_is_exit_30(
    demo: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    out, _ = demo
    data = bytearray((out / "certificate.posdecom").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "changed.posdecom").write_bytes(data)
    verified = subprocess.run(
        [sys.executable, "-m", "posdecom_agent", "verify", str(tmp_path / "changed.posdecom"), "--trust",
         str(out / "trust.pem")],
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert verified.returncode == 30
    assert verified.stderr.startswith("error[PD-E40]")


def test_a_demo_does_not_touch_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = subprocess.run(
        [sys.executable, "-m", "posdecom_agent", "demo", "--out", str(tmp_path)],
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
