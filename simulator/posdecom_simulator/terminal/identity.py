"""The terminal's identity keys at work. Keys are read from the store for one signature and not kept."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from posdecom_protocol.cose import SigningKey
from posdecom_protocol.errors import LocalError

from . import slots
from .store import Store


def attestation_key(store: Store) -> SigningKey:
    """The key that signs seal and evidence, with its device certificate. `LocalError` once it is destroyed."""
    certificate = store.get(slots.ATTESTATION_CERTIFICATE)
    if certificate is None:
        raise LocalError("the store holds no attestation certificate")

    def sign(message: bytes) -> bytes:
        secret = store.get(slots.ATTESTATION_KEY.key)
        if secret is None:
            raise LocalError("the attestation key is gone")
        return Ed25519PrivateKey.from_private_bytes(secret).sign(message)

    return SigningKey(sign, (certificate,))
