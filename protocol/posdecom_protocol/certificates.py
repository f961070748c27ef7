"""Who may sign what: X.509 chains (RFC 5280) whose extended key usages are the roles.

A role must stand in the extended key usage of the leaf **and of every CA above it, the anchor included**. So
an acquirer that trusts a technicians' CA has not given it the right to issue a release signer. The role OIDs
live under ``ROLE_ARC``, an arc made from a UUID (ITU-T X.667: 2.25.<uuid as integer>), which needs no
registration.

Pure functions over DER. Ed25519 (RFC 8410) only, everywhere in a chain; there is nothing to negotiate.
``cryptography`` validates paths by the web's profile only, which knows no Ed25519 and
none of our roles. Here the chain comes in its order, so that validation is one walk and no search.

**Time** is the caller's. ``at`` is one instant at which every certificate of the path, the anchor's included,
must be valid, both ends counted (4.1.2.5; the "shell model"). Whoever checks an old signature passes the
attested time of signing, not today; ``None`` judges no dates, for a terminal without a plausible clock.

Not here: revocation (technicians' certificates live 24 hours; the acquirer's desk revokes devices), names as
authority (only keys and roles count), and whether a key may be used twice (a rule of the documents).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID, SignatureAlgorithmOID

from .errors import DocumentError
from .limits import CERTIFICATES_PER_CHAIN_MAX
from .wording import N_


class Role(StrEnum):
    """What the holder of a key may do; the value is for people, the OID (``ROLE_OIDS``) for certificates."""

    ORDER = "order"
    """Acquirer: signs orders and cancellations."""
    RELEASE = "release"
    """Acquirer: signs receipts and closures."""
    APPROVER = "approver"
    """Acquirer: the second signature where money could be lost."""
    TERMINAL = "terminal"
    """A terminal's attestation key: signs seal and evidence."""
    TECHNICIAN = "technician"
    """Signs certificates of decommission."""
    TERMINAL_CHANNEL = "terminal channel"
    """A terminal's TLS key, apart from its attestation key."""
    TECHNICIAN_CHANNEL = "technician channel"
    """The agent's TLS key."""
    MAKER = "maker"
    """A terminal maker: signs the bind of a blank terminal."""


ROLE_ARC: Final = "2.25.215914685848285493200043313817283582870"

ROLE_OIDS: Final[dict[Role, x509.ObjectIdentifier]] = {
    role: x509.ObjectIdentifier(f"{ROLE_ARC}.{number}") for number, role in enumerate(Role, start=1)
}
"""Numbered as they stand above: 1 order to 8 maker. A number once issued never changes."""

KEY_ID_BYTES: Final = 8
"""Enough to find a key among a handful; never proof of identity, for which whole keys are compared."""

NAME_CHARACTERS_MAX: Final = 64
"""RFC 5280 appendix A.1, ub-common-name and ub-serial-number."""

_UNDERSTOOD: Final = frozenset(
    {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE}
)
"""Extensions that may be critical (section 4.2); name constraints and policies are not judged, so refused."""

_REMEMBERED: Final = 64
"""Certificates, and pairs of them: the few of one site come with every document again, and are the same bytes."""

_CHAIN: Final = "certificate chain"
_ANCHORS: Final = "trust anchors"


@dataclass(frozen=True, slots=True)
class Signer:
    """The judged holder of a key: what ``validate`` gives, and nobody else makes."""

    role: Role
    public_key: bytes
    """Ed25519, 32 bytes."""
    key_id: bytes
    """First 8 bytes of SHA-256 over the SubjectPublicKeyInfo: the ``kid`` of a document."""
    serial_number: str
    """Subject attribute serialNumber: a terminal's device serial; '' where there is none."""
    name: str
    """Subject common name, for people; '' where there is none."""
    issuer_id: bytes
    """SHA-256 over the anchor's SubjectPublicKeyInfo, 32 bytes: under whose authority (order counters)."""
    not_before: float
    """Of the leaf, seconds since 1970."""
    not_after: float


@dataclass(frozen=True, slots=True)
class _Link:
    """One certificate, read once and completely; nothing in it is judged yet."""

    certificate: x509.Certificate
    public_key: bytes
    spki_sha256: bytes
    serial_number: str
    name: str
    is_ca: bool
    path_length: int | None
    signs_documents: bool
    signs_certificates: bool
    purposes: frozenset[x509.ObjectIdentifier]
    not_before: float
    not_after: float


@dataclass(frozen=True, slots=True)
class Anchors:
    """The self-signed CA certificates that one side trusts, each for the roles in its extended key usage."""

    links: tuple[_Link, ...] = ()

    def pem(self) -> bytes:
        """The bundle that ``load_anchors`` reads, certificates only."""
        return b"".join(link.certificate.public_bytes(Encoding.PEM) for link in self.links)

    def __repr__(self) -> str:
        return f"Anchors({', '.join(link.name for link in self.links)})"


def load_anchors(pem: bytes) -> Anchors:
    """Anchors from a PEM bundle of at least one certificate, each a self-signed Ed25519 CA with roles.

    Raises:
        DocumentError: "trust anchors", also when the bundle holds a private key (it is handed around).
    """
    if b"PRIVATE KEY" in pem:
        raise DocumentError(_ANCHORS, N_("the bundle holds a private key"))
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion) as error:
        raise DocumentError(_ANCHORS, N_("no PEM bundle of certificates")) from error
    links = tuple(_read(certificate, _ANCHORS) for certificate in dict.fromkeys(certificates))
    for link in links:
        _check_ca(link, below=0, where=_ANCHORS)
        if not _issued(link, link):
            raise DocumentError(_ANCHORS, N_("a certificate is not signed by itself"))
    return Anchors(links)


def load_chain(pem: bytes) -> tuple[bytes, ...]:
    """A signer's own certificates as DER, leaf first, from a PEM file; nothing is judged but their number.

    Raises:
        DocumentError: "certificate chain".
    """
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion) as error:
        raise DocumentError(_CHAIN, N_("no PEM file of certificates")) from error
    _check_length(len(certificates))
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in certificates)


def validate(chain: Sequence[bytes], anchors: Anchors, role: Role, at: float | None) -> Signer:
    """The signer at the foot of ``chain``, when every link up to one of ``anchors`` holds for ``role``.

    Args:
        chain: DER certificates, leaf first, each issued by the next, the last by an anchor; the anchor itself
            is not in it. 1 to ``CERTIFICATES_PER_CHAIN_MAX``.
        role: what the leaf must be allowed to do; it is looked for in every certificate and in the anchor.
        at: seconds since 1970 at which every certificate must be valid, or None to judge no dates.

    Raises:
        DocumentError: "certificate chain", with the first check that failed. RFC 5280 section 6.1.
    """
    _check_length(len(chain))
    path = [_parse(der) for der in chain]
    for position, (link, issuer) in enumerate(pairwise(path)):
        if not _issued(link, issuer):
            raise DocumentError(
                _CHAIN, N_("certificate {position} is not signed by the next", position=position)
            )
    path.append(_anchor_of(path[-1], anchors))
    for position, issuer in enumerate(path[1:]):
        _check_ca(issuer, below=position, where=_CHAIN)
    _check_leaf(path[0])
    for link in path:
        _check_role_and_time(link, role, at)
    return _signer(path[0], role, issuer_id=path[-1].spki_sha256)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a certificate says of itself, before anybody judged its chain."""

    public_key: bytes
    """Ed25519, 32 bytes."""
    roles: tuple[Role, ...]


def claims(certificate_der: bytes) -> Claims:
    """Key and roles of one certificate, unjudged. Raises DocumentError where it is none of ours in shape."""
    link = _parse(certificate_der)
    return Claims(link.public_key, tuple(role for role, oid in ROLE_OIDS.items() if oid in link.purposes))


def key_id(certificate_der: bytes) -> bytes:
    """First 8 bytes of SHA-256 over the certificate's SubjectPublicKeyInfo. Raises DocumentError."""
    return _parse(certificate_der).spki_sha256[:KEY_ID_BYTES]


def _signer(leaf: _Link, role: Role, issuer_id: bytes) -> Signer:
    return Signer(
        role=role,
        public_key=leaf.public_key,
        key_id=leaf.spki_sha256[:KEY_ID_BYTES],
        serial_number=leaf.serial_number,
        name=leaf.name,
        issuer_id=issuer_id,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
    )


# --- checks --------------------------------------------------------------------------------------


def _check_length(certificates: int) -> None:
    if not 1 <= certificates <= CERTIFICATES_PER_CHAIN_MAX:
        raise DocumentError(
            _CHAIN,
            N_("{count} certificates, not 1 to {max}", count=certificates, max=CERTIFICATES_PER_CHAIN_MAX),
        )


def _anchor_of(top: _Link, anchors: Anchors) -> _Link:
    """By name *and* signature: two anchors may share a name while a CA changes its key."""
    if top in anchors.links:
        raise DocumentError(_CHAIN, N_("the anchor itself is in the chain"))
    for anchor in anchors.links:
        if _issued(top, anchor):
            return anchor
    raise DocumentError(_CHAIN, N_("not issued by a trusted authority"))


def _issued(link: _Link, issuer: _Link) -> bool:
    """Names chain and the signature holds: section 6.1.3 (a)(1) and (a)(4)."""
    return _is_directly_issued(link.certificate, issuer.certificate)


@lru_cache(maxsize=_REMEMBERED)
def _is_directly_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_ca(link: _Link, below: int, where: str) -> None:
    """May ``link`` issue a certificate with ``below`` CAs between it and the leaf? 6.1.4 (k) to (n)."""
    if not link.is_ca:
        raise DocumentError(where, N_("an issuer is not a CA"))
    if not link.signs_certificates:
        raise DocumentError(where, N_("an issuer's key usage does not allow signing certificates"))
    if link.path_length is not None and below > link.path_length:
        raise DocumentError(where, N_("more CAs than an issuer's path length allows"))


def _check_leaf(link: _Link) -> None:
    if link.is_ca:
        raise DocumentError(_CHAIN, N_("the signer is a CA"))
    if not link.signs_documents:
        raise DocumentError(_CHAIN, N_("the signer's key usage does not allow signatures"))


def _check_role_and_time(link: _Link, role: Role, at: float | None) -> None:
    # Section 4.2.1.12 leaves nesting to the application; anyExtendedKeyUsage names no role of ours.
    if ROLE_OIDS[role] not in link.purposes:
        raise DocumentError(_CHAIN, N_("a certificate does not carry the role {value}", value=role.value))
    if at is not None and at < link.not_before:
        raise DocumentError(_CHAIN, N_("a certificate is not yet valid"))
    if at is not None and at > link.not_after:
        raise DocumentError(_CHAIN, N_("a certificate has expired"))


# --- reading -------------------------------------------------------------------------------------


@lru_cache(maxsize=_REMEMBERED)
def _parse(der: bytes) -> _Link:
    try:
        certificate = x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion) as error:
        raise DocumentError(_CHAIN, N_("not a DER certificate")) from error
    return _read(certificate, _CHAIN)


def _read(certificate: x509.Certificate, where: str) -> _Link:
    """Everything that is judged later, taken out at once: the library parses late and raises late."""
    try:
        public_key = certificate.public_key()
        extensions = certificate.extensions
        subject = certificate.subject
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        # TypeError: a subject attribute that is a BIT STRING
        raise DocumentError(where, N_("a certificate cannot be read")) from error
    algorithm = certificate.signature_algorithm_oid
    if not isinstance(public_key, Ed25519PublicKey) or algorithm != SignatureAlgorithmOID.ED25519:
        raise DocumentError(where, N_("a certificate is not Ed25519 throughout"))
    if any(extension.critical and extension.oid not in _UNDERSTOOD for extension in extensions):
        raise DocumentError(
            where, N_("a certificate has an unknown critical extension")
        )  # 6.1.4 (o), 6.1.5 (f)
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as error:
        raise DocumentError(where, N_("a certificate lacks constraints, key usage or roles")) from error
    spki = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _Link(
        certificate=certificate,
        public_key=public_key.public_bytes_raw(),
        spki_sha256=hashlib.sha256(spki).digest(),
        serial_number=_attribute(subject, NameOID.SERIAL_NUMBER, where),
        name=_attribute(subject, NameOID.COMMON_NAME, where),
        is_ca=constraints.ca,
        path_length=constraints.path_length,
        signs_documents=usage.digital_signature,
        signs_certificates=usage.key_cert_sign,
        purposes=frozenset(purposes),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
    )


def _attribute(name: x509.Name, oid: x509.ObjectIdentifier, where: str) -> str:
    """At most one value, printable and short: it is shown on screens and compared with orders."""
    values = [str(attribute.value) for attribute in name.get_attributes_for_oid(oid)]
    if not values:
        return ""
    if len(values) > 1 or len(values[0]) > NAME_CHARACTERS_MAX or not values[0].isprintable():
        raise DocumentError(where, N_("a subject attribute is repeated, too long or not printable"))
    return values[0]
