"""A witness signs what the case states, with a key of their own: a typed name proves nothing.

Signed is the SHA-256 of a statement, deterministic CBOR: ``["posdecom/witness/1", [[key, text], ...]]`` with every
stated point of the case in its order, the witness's own name, role and method included, key and signature not. All of
that stands in the certificate, so that the signature can be checked from the certificate alone. It says that the holder
of the key stood by these words; who the holder is, the witness's name only states.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from posdecom_protocol import cbor

from ..wording import N_

DOMAIN: Final = "posdecom/witness/1"
KEY: Final = "witness.key"
SIGNATURE: Final = "witness.signature"


class WitnessError(Exception):
    """The witness's key cannot be used."""


def statement_digest(answers: Mapping[str, str]) -> bytes:
    """What a witness signs: 32 bytes."""
    stated = tuple((key, text) for key, text in answers.items() if key not in (KEY, SIGNATURE))
    return hashlib.sha256(cbor.encode((DOMAIN, stated))).digest()


def sign_statement(answers: Mapping[str, str], key: Ed25519PrivateKey) -> dict[str, str]:
    """The two answers that the witness adds."""
    public_key = key.public_key().public_bytes_raw()
    return {KEY: public_key.hex(), SIGNATURE: key.sign(statement_digest(answers)).hex()}


def signature_holds(answers: Mapping[str, str]) -> bool:
    """Whether the witness's key signed exactly these points; False also where there is no signature."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(answers.get(KEY, "")))
        key.verify(bytes.fromhex(answers.get(SIGNATURE, "")), statement_digest(answers))
    except (InvalidSignature, ValueError):
        return False
    return True


def fingerprint(answers: Mapping[str, str]) -> str:
    """First eight bytes of the SHA-256 of the public key, to be compared with what the witness shows."""
    return hashlib.sha256(bytes.fromhex(answers[KEY])).hexdigest()[:16]


def load_key(file: Path) -> Ed25519PrivateKey:
    """An unencrypted PKCS #8 PEM key (``openssl genpkey -algorithm ed25519``). Errors: `WitnessError`, `OSError`."""
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise WitnessError(N_("{file} is no unencrypted PEM private key", file=str(file))) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise WitnessError(N_("{file} is no Ed25519 key", file=str(file)))
    return key
