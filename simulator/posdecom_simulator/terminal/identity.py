"""The terminal's identity keys at work. A key is read from the store for one signature, and wiped after it."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from posdecom_protocol.cose import SigningKey

from . import slots
from .key_loading import held_key
from .store import Store, held


def attestation_key(store: Store) -> SigningKey:
    """The key that signs seal and evidence, with its device certificate. Signing is refused once it is destroyed."""
    certificate = held(store, slots.ATTESTATION_CERTIFICATE)

    def sign(message: bytes) -> bytes:
        with held_key(store, slots.ATTESTATION_KEY) as key:
            return Ed25519PrivateKey.from_private_bytes(key.data).sign(message)

    return SigningKey(sign, (certificate,))
