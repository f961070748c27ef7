"""A certificate authority for a demo site and for tests: issues what ``certificates`` judges.

Everything is derived from the arguments: the same keys, names and times give the same DER, byte for byte
(Ed25519 signatures are deterministic, RFC 8032 section 5.1.6; the X.509 serial is a hash). Private keys live
in plain objects here: a simulator's authority, not one to trust with a real acquirer.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from posdecom_protocol.certificates import ROLE_OIDS, Role

NEVER: Final = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC).timestamp()
"""99991231235959Z: no well-defined expiration (RFC 5280 section 4.1.2.5), as IEEE 802.1AR wants."""

_TLS_PURPOSES: Final = {
    Role.TERMINAL_CHANNEL: ExtendedKeyUsageOID.SERVER_AUTH,
    Role.TECHNICIAN_CHANNEL: ExtendedKeyUsageOID.CLIENT_AUTH,
}
"""What OpenSSL wants to see besides, in the leaf and in its CA."""

Entropy = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when, whole seconds since 1970, both included."""

    not_before: float
    not_after: float


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a certificate is about; ``serial_number`` is a terminal's device serial, or ''."""

    name: str
    serial_number: str = ""

    def x509_name(self) -> x509.Name:
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, self.name)]
        if self.serial_number:
            attributes.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, self.serial_number))
        return x509.Name(attributes)


@dataclass(frozen=True, slots=True)
class Authority:
    """A self-signed CA with its key."""

    key: Ed25519PrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls, name: str, roles: Iterable[Role], validity: Validity, entropy: Entropy) -> Authority:
        """An anchor that may issue exactly ``roles``."""
        key = new_key(entropy)
        subject = Subject(name).x509_name()
        certificate = _sign(key, subject, key.public_key(), subject, _purposes(roles), validity, is_ca=True)
        return cls(key, certificate)

    def issue(
        self, public_key: Ed25519PublicKey, subject: Subject, roles: Iterable[Role], validity: Validity
    ) -> x509.Certificate:
        """A leaf for ``public_key``. Nothing stops a role that the authority lacks: validation must."""
        return _sign(
            self.key,
            self.certificate.subject,
            public_key,
            subject.x509_name(),
            _purposes(roles),
            validity,
            is_ca=False,
        )

    @classmethod
    def create_for_tls(cls, name: str, validity: Validity, entropy: Entropy) -> Authority:
        """An anchor that vouches for TLS servers and for nobody's documents."""
        key, subject = new_key(entropy), Subject(name).x509_name()
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH]
        certificate = _sign(key, subject, key.public_key(), subject, purposes, validity, is_ca=True)
        return cls(key, certificate)

    def issue_for_tls(
        self, public_key: Ed25519PublicKey, subject: Subject, names: Iterable[str], validity: Validity
    ) -> x509.Certificate:
        """A TLS server's leaf for its host names and IP addresses."""
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH]
        issuer, name = self.certificate.subject, subject.x509_name()
        return _sign(self.key, issuer, public_key, name, purposes, validity, is_ca=False, names=tuple(names))

    def pem(self) -> bytes:
        """The anchor's certificate."""
        return self.certificate.public_bytes(Encoding.PEM)


def new_key(entropy: Entropy) -> Ed25519PrivateKey:
    """An Ed25519 key from 32 bytes of ``entropy`` (they are the key, RFC 8032 section 5.1.5)."""
    return Ed25519PrivateKey.from_private_bytes(entropy(32))


def key_pem(key: Ed25519PrivateKey) -> bytes:
    """PKCS #8, unencrypted: what ``ssl`` loads."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _purposes(roles: Iterable[Role]) -> list[x509.ObjectIdentifier]:
    roles = list(roles)
    return [ROLE_OIDS[role] for role in roles] + [
        _TLS_PURPOSES[role] for role in roles if role in _TLS_PURPOSES
    ]


def _sign(
    issuer_key: Ed25519PrivateKey,
    issuer: x509.Name,
    public_key: Ed25519PublicKey,
    subject: x509.Name,
    purposes: list[x509.ObjectIdentifier],
    validity: Validity,
    *,
    is_ca: bool,
    names: tuple[str, ...] = (),
) -> x509.Certificate:
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(_serial(public_key, subject, purposes, validity))
        .not_valid_before(datetime.datetime.fromtimestamp(int(validity.not_before), datetime.UTC))
        .not_valid_after(datetime.datetime.fromtimestamp(int(validity.not_after), datetime.UTC))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None), critical=True)
        .add_extension(_key_usage(is_ca), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(issuer_id, critical=False)
    )
    if names:
        builder = builder.add_extension(_alternative_names(names), critical=False)
    return builder.sign(issuer_key, algorithm=None)


def _alternative_names(names: tuple[str, ...]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general_name(name) for name in names])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _serial(
    public_key: Ed25519PublicKey,
    subject: x509.Name,
    purposes: list[x509.ObjectIdentifier],
    validity: Validity,
) -> int:
    """Positive and below 20 octets (section 4.1.2.2), unique as far as a hash over the content is."""
    content = f"{subject.rfc4514_string()}|{[oid.dotted_string for oid in purposes]}|{validity}"
    digest = hashlib.sha256(public_key.public_bytes_raw() + content.encode()).digest()
    return int.from_bytes(digest[:15], "big") | 1


def _key_usage(is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )
