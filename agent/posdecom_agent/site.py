"""The technician's credentials: one folder with key, certificate and trust, made by whoever issues them.

``technician.key`` (PKCS #8 PEM, unencrypted, for its owner only), ``technician.pem`` (certificates, leaf first),
``anchors.pem`` (whom to trust: terminal makers, acquirer, technicians; certificates only) and, for a host behind TLS,
``host_ca.pem``. The technician's certificate lives 24 hours and opens nothing by itself: a stolen folder can read
ciphertext out of a terminal, for a day.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from posdecom_protocol.certificates import Anchors, Role, Signer, load_anchors, load_chain, validate
from posdecom_protocol.cose import SigningKey
from posdecom_protocol.errors import DocumentError, PosdecomError
from posdecom_protocol.wording import N_

KEY_FILE: Final = "technician.key"
CHAIN_FILE: Final = "technician.pem"
ANCHORS_FILE: Final = "anchors.pem"
HOST_CA_FILE: Final = "host_ca.pem"
"""The CA that vouches for the acquirer's host behind TLS; nothing else is believed because of it."""

FILE_BYTES_MAX: Final = 1024 * 1024
"""A certificate is half a kilobyte as PEM; whatever is larger is the wrong file."""


class SiteError(PosdecomError):
    """The technician's folder cannot be used; the message names the file and what to do."""


@dataclass(frozen=True, slots=True)
class TechnicianSite:
    """Loaded and consistent: the key fits the certificate, which carries both of a technician's roles."""

    directory: Path
    chain: tuple[bytes, ...]
    """DER certificates, leaf first, without the anchor."""
    anchors: Anchors
    technician: Signer
    """Who the certificate says the technician is; its dates are judged by `check_dates` only."""
    _key: Ed25519PrivateKey = field(repr=False, compare=False)

    @classmethod
    def load(cls, directory: Path) -> TechnicianSite:
        """Reads the folder. Raises SiteError."""
        key = _load_key(directory / KEY_FILE)
        try:
            chain = load_chain(_read(directory / CHAIN_FILE))
            anchors = load_anchors(_read(directory / ANCHORS_FILE))
            technician = validate(chain, anchors, Role.TECHNICIAN, at=None)
            validate(chain, anchors, Role.TECHNICIAN_CHANNEL, at=None)
        except DocumentError as error:
            raise SiteError(N_("{where}: {reason}", where=directory, reason=error)) from error
        if key.public_key().public_bytes_raw() != technician.public_key:
            raise SiteError(
                N_(
                    "{key_file} is not the key of {chain_file}",
                    key_file=directory / KEY_FILE,
                    chain_file=CHAIN_FILE,
                )
            )
        return cls(directory, chain, anchors, technician, key)

    @property
    def key_path(self) -> Path:
        """For `channel.client_context`, which loads keys from a path only."""
        return self.directory / KEY_FILE

    @property
    def chain_path(self) -> Path:
        return self.directory / CHAIN_FILE

    def signing_key(self) -> SigningKey:
        """The hand that signs certificates of decommission."""
        return SigningKey(self._key.sign, self.chain)

    def check_dates(self, now: float) -> None:
        """Raises SiteError when the certificate cannot be used at ``now``, before a terminal refuses it."""
        if now > self.technician.not_after:
            until = _utc(self.technician.not_after)
            raise SiteError(
                N_(
                    "{chain_path} expired on {until}: ask for a new one",
                    chain_path=self.chain_path,
                    until=until,
                )
            )
        if now < self.technician.not_before:
            since = _utc(self.technician.not_before)
            raise SiteError(
                N_(
                    "{chain_path} is valid from {since} on: check the clock of this computer",
                    chain_path=self.chain_path,
                    since=since,
                )
            )


def _load_key(path: Path) -> Ed25519PrivateKey:
    pem = _read(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise SiteError(N_("{path} is open to other users: chmod 600 it", path=path))
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SiteError(N_("{path} is no unencrypted PEM private key", path=path)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SiteError(N_("{path} is no Ed25519 key", path=path))
    return key


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SiteError(N_("{path} cannot be read: {reason}", path=path, reason=error.strerror)) from error
    if len(data) > FILE_BYTES_MAX:
        raise SiteError(N_("{path} is larger than {count} bytes", path=path, count=FILE_BYTES_MAX))
    return data


def _utc(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")
