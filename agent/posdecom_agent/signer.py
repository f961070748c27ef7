"""A signer's key pair from two files: for the acquirer's own tools."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from posdecom_protocol.certificates import claims, load_chain
from posdecom_protocol.cose import SigningKey
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.wording import N_

from .site import SiteError


def load_signer(key_file: Path, chain_file: Path) -> SigningKey:
    """PKCS #8 PEM key and PEM certificates, leaf first. `SiteError` where they are no pair."""
    try:
        key = load_pem_private_key(key_file.read_bytes(), password=None)
        chain = load_chain(chain_file.read_bytes())
        public_key = claims(chain[0]).public_key
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SiteError(N_("{key_file} is no unencrypted PEM private key", key_file=key_file)) from error
    except DocumentError as error:
        raise SiteError(N_("{where}: {reason}", where=chain_file, reason=error)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SiteError(N_("{key_file} is no Ed25519 key", key_file=key_file))
    if key.public_key().public_bytes_raw() != public_key:
        raise SiteError(
            N_("{key_file} is not the key of {chain_file}", key_file=key_file, chain_file=chain_file)
        )
    return SigningKey(key.sign, chain)
