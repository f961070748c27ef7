"""COSE_Sign1 (RFC 9052 section 4.2) with one algorithm, one header shape and no choices.

Tag 18 around an array of four: protected header (byte string), empty unprotected map, payload, 64-byte Ed25519
signature. The protected header holds, in this order and nothing else: ``alg`` (1) = -19 (Ed25519, RFC 9864), ``kid``
(4) = first 8 bytes of the SHA-256 of the signer's SubjectPublicKeyInfo, ``typ`` (16, RFC 9596), ``x5chain`` (33,
RFC 9360) = the signer's certificate, or an array of certificates leaf first, without the anchor.

What is signed is ``["Signature1", protected, h'', payload]`` in deterministic CBOR.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from . import cbor
from .certificates import Anchors, Role, Signer, key_id, validate
from .errors import DocumentError
from .limits import CERTIFICATES_PER_CHAIN_MAX
from .wording import N_

TAG_HEAD: Final = b"\xd2"
ALG_ED25519: Final = -19
SIGNATURE_BYTES: Final = 64
_ALG, _KID, _TYP, _X5CHAIN = 1, 4, 16, 33
_REMEMBERED: Final = 16


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A signer's hand: ``sign`` returns the 64-byte Ed25519 signature, wherever the key is kept."""

    sign: Callable[[bytes], bytes]
    chain: tuple[bytes, ...]
    """DER certificates, leaf first, without the anchor."""

    def __repr__(self) -> str:
        return f"SigningKey(kid={key_id(self.chain[0]).hex()})"


@dataclass(frozen=True, slots=True)
class Sign1:
    """A parsed COSE_Sign1; parsing judges the shape, `verify` the signature and the signer."""

    protected: bytes = field(repr=False)
    kid: bytes
    typ: str
    chain: tuple[bytes, ...] = field(repr=False)
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def sign(payload: bytes, typ: str, key: SigningKey) -> bytes:
    """The signed object over ``payload``."""
    chain = key.chain[0] if len(key.chain) == 1 else key.chain
    protected = cbor.encode({_ALG: ALG_ED25519, _KID: key_id(key.chain[0]), _TYP: typ, _X5CHAIN: chain})
    signature = key.sign(to_be_signed(protected, payload))
    return TAG_HEAD + cbor.encode((protected, {}, payload, signature))


def to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """RFC 9052 section 4.4, Sig_structure of a COSE_Sign1 without external data."""
    return cbor.encode(("Signature1", protected, b"", payload))


def parse(data: bytes, bytes_max: int) -> Sign1:
    """The parts of a signed object that fills ``data``; `DocumentError` for any other shape or encoding."""
    if len(data) > bytes_max:
        raise DocumentError("document", N_("{count} bytes; at most {max}", count=len(data), max=bytes_max))
    if data[:1] != TAG_HEAD:
        raise DocumentError("document", N_("does not start with tag 18"))
    value = cbor.decode(data[1:], "document")
    if not isinstance(value, tuple) or len(value) != 4:
        raise DocumentError("document", N_("is no array of four"))
    protected, unprotected, payload, signature = value
    if unprotected != {}:
        raise DocumentError("document", N_("has an unprotected header"))
    if not isinstance(protected, bytes) or not isinstance(payload, bytes):
        raise DocumentError("document", N_("protected header or payload is no byte string"))
    if not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
        raise DocumentError("document", N_("signature is not {count} bytes", count=SIGNATURE_BYTES))
    return Sign1(protected, *_header(protected), payload, signature)


def verify(signed: Sign1, anchors: Anchors, role: Role, at: float | None) -> Signer:
    """The signer of ``signed``, who had ``role`` under ``anchors`` at the time ``at`` (None: time not judged).

    The signature is checked under the leaf certificate after its chain was; `DocumentError` says which failed.
    """
    signer = validate(signed.chain, anchors, role, at)
    check_signature(signed, signer.public_key)
    return signer


def check_signature(signed: Sign1, public_key: bytes) -> None:
    """`DocumentError` unless the signature is valid under the 32-byte Ed25519 ``public_key``."""
    _check_signature(signed, public_key)


@lru_cache(maxsize=_REMEMBERED)
def _check_signature(signed: Sign1, public_key: bytes) -> None:
    """Only what was valid is remembered; guard, chain and audit ask of the same documents again and again."""
    message = to_be_signed(signed.protected, signed.payload)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signed.signature, message)
    except (InvalidSignature, ValueError) as error:
        raise DocumentError("signature", N_("is not valid")) from error


def digest(data: bytes) -> bytes:
    """How one document names another: SHA-256 over all its bytes (32)."""
    return hashlib.sha256(data).digest()


def _header(protected: bytes) -> tuple[bytes, str, tuple[bytes, ...]]:
    header = cbor.decode(protected, "protected header")
    if not isinstance(header, dict) or set(header) != {_ALG, _KID, _TYP, _X5CHAIN}:
        raise DocumentError("protected header", N_("must hold alg, kid, typ and x5chain, and nothing else"))
    if header[_ALG] != ALG_ED25519:
        raise DocumentError("protected header", N_("alg must be {number}", number=ALG_ED25519))
    kid, typ, chain = header[_KID], header[_TYP], _chain(header[_X5CHAIN])
    if not isinstance(typ, str):
        raise DocumentError("protected header", N_("typ is no text"))
    if not isinstance(kid, bytes) or kid != key_id(chain[0]):
        raise DocumentError("protected header", N_("kid is not the certificate's"))
    return kid, typ, chain


def _chain(value: cbor.Value) -> tuple[bytes, ...]:
    """RFC 9360 section 2: one certificate is a byte string, two or more are an array."""
    if isinstance(value, bytes):
        return (value,)
    if not isinstance(value, tuple) or not 2 <= len(value) <= CERTIFICATES_PER_CHAIN_MAX:
        raise DocumentError(
            "x5chain", N_("is no certificate and no array of 2 to {max}", max=CERTIFICATES_PER_CHAIN_MAX)
        )
    chain = tuple(member for member in value if isinstance(member, bytes))
    if len(chain) != len(value):
        raise DocumentError("x5chain", N_("holds something that is no certificate"))
    return chain
