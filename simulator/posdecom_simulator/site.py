"""A demo site on disk, as the terminal and the acquirer read it. `provision` writes it; layouts are told here.

::

    DIR/trust.pem             anchors of acquirer, terminal makers and technicians; certificates only
    DIR/technician/           technician.key, technician.pem, anchors.pem, host_ca.pem: the agent's ``--site``
    DIR/acquirer/             order, release, approver, host (.key, .pem), bdk.hex, anchors.pem, settings.toml;
                              ``host`` is the ISO 8583 host's for TLS, and signs no document
    DIR/terminals/SERIAL/     channel, attestation (.key, .pem), keys.toml, settings.toml,
                              acquirer, technicians, maker (.pem): whom this terminal trusts, and for what
    DIR/maker/                bind (.key, .pem): takes blank terminals back into service
    DIR/authorities/          acquirer, maker, technicians, host (.key, .pem): what issued all of it

A real terminal gets ``keys.toml`` in a key injection room; here it is a file, because the simulated one must come
from somewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from posdecom_protocol.aes_dukpt import INITIAL_KEY_ID_BYTES, InitialKeyId
from posdecom_protocol.certificates import KEY_ID_BYTES, Anchors, load_anchors, load_chain
from posdecom_protocol.cose import SigningKey
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.limits import CONTEXTS_MAX
from posdecom_protocol.secret import Secret
from posdecom_protocol.tdes_dukpt import KSN_BYTES, InitialKsn
from posdecom_protocol.tr31_header import HEADER_CHARS, KEY_BLOCK_CHARS_MAX

from .terminal.device import Context
from .terminal.slots import ERASE_ORDER
from .toml_table import SiteError as SiteError
from .toml_table import Table, read_file, toml_lines, unhex

TPDU_BYTES: Final = 5
OEM_ID_BYTES: Final = 16
"""A random one, RFC 9711 section 4.2.3.1."""
UEID_BYTES: Final = 17
"""Type 1 (RAND) and 128 random bits, RFC 9711 section 4.2.1."""

BDK_BYTES: Final = 16

ORDER, RELEASE, APPROVER = "order", "release", "approver"
CHANNEL, ATTESTATION = "channel", "attestation"
HOST: Final = "host"
HOST_CA_FILE: Final = "host_ca.pem"
BDK_FILE: Final = "bdk.hex"
KEYS_FILE: Final = "keys.toml"
SETTINGS_FILE: Final = "settings.toml"
ANCHORS_FILE: Final = "anchors.pem"
ACQUIRER_ANCHORS_FILE: Final = "acquirer.pem"
TECHNICIAN_ANCHORS_FILE: Final = "technicians.pem"
MAKER_ANCHORS_FILE: Final = "maker.pem"


@dataclass(frozen=True, slots=True)
class Identity:
    """An Ed25519 key with its certificates, one pair of files."""

    key_path: Path
    chain_path: Path
    secret: Secret
    """The private key, 32 bytes (RFC 8032 section 5.1.5)."""
    chain: tuple[bytes, ...]
    """DER certificates, leaf first, without the anchor."""

    @classmethod
    def load(cls, directory: Path, name: str) -> Identity:
        key_path, chain_path = directory / f"{name}.key", directory / f"{name}.pem"
        try:
            key = load_pem_private_key(read_file(key_path), password=None)
            chain = load_chain(read_file(chain_path))
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SiteError(f"{key_path} is no unencrypted PEM private key") from error
        except DocumentError as error:
            raise SiteError(f"{chain_path}: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SiteError(f"{key_path} is no Ed25519 key")
        certified = x509.load_der_x509_certificate(chain[0]).public_key()
        if key.public_key() != certified:
            raise SiteError(f"{key_path} is not the key of {chain_path.name}")
        return cls(key_path, chain_path, Secret(key.private_bytes_raw()), chain)

    def signing_key(self) -> SigningKey:
        """Signs documents for as long as `secret` is not wiped."""

        def sign(message: bytes) -> bytes:
            return Ed25519PrivateKey.from_private_bytes(self.secret.data).sign(message)

        return SigningKey(sign, self.chain)


@dataclass(frozen=True, slots=True)
class TerminalSettings:
    """What a terminal knows of itself that is no secret."""

    serial: str
    manufacturer: str
    model: str
    software_version: str
    ueid: bytes
    oem_id: bytes
    tpdu: bytes
    """5 bytes, of every message to the host."""
    contexts: tuple[Context, ...]

    def toml(self) -> str:
        values = {
            "serial": self.serial,
            "manufacturer": self.manufacturer,
            "model": self.model,
            "software_version": self.software_version,
            "ueid": self.ueid.hex(),
            "oem_id": self.oem_id.hex(),
            "tpdu": self.tpdu.hex(),
        }
        return toml_lines(values) + _context_tables("context", self.contexts)

    @classmethod
    def load(cls, path: Path) -> TerminalSettings:
        table = Table.load(path)
        return cls(
            serial=table.text("serial", 1, 32),
            manufacturer=table.text("manufacturer", 1, 80),
            model=table.text("model", 1, 80),
            software_version=table.text("software_version", 1, 80),
            ueid=table.octets("ueid", UEID_BYTES),
            oem_id=table.octets("oem_id", OEM_ID_BYTES),
            tpdu=table.octets("tpdu", TPDU_BYTES),
            contexts=_contexts(table),
        )


@dataclass(frozen=True, slots=True)
class TerminalKeys:
    """What is loaded into a terminal: each slot of `slots.ERASE_ORDER` is in one of the two tables."""

    initial_key_id: InitialKeyId
    initial_ksn: InitialKsn
    clear: Mapping[str, Secret]
    """By slot: master keys and initial keys, which a key injection room loads."""
    blocks: Mapping[str, str]
    """By slot: key blocks under the master keys, for everything else."""

    def toml(self) -> str:
        clear = {name: secret.data.hex() for name, secret in self.clear.items()}
        key_sets = {"initial_key_id": self.initial_key_id.hex(), "initial_ksn": self.initial_ksn.hex()}
        return (
            toml_lines(key_sets)
            + ("\n[clear]\n" + toml_lines(clear))
            + ("\n[blocks]\n" + toml_lines(self.blocks))
        )

    @classmethod
    def load(cls, path: Path) -> TerminalKeys:
        table = Table.load(path)
        clear, blocks = table.table("clear"), table.table("blocks")
        return cls(
            initial_key_id=InitialKeyId(table.octets("initial_key_id", INITIAL_KEY_ID_BYTES)),
            initial_ksn=InitialKsn(table.octets("initial_ksn", KSN_BYTES)),
            clear={
                slot.name: Secret(clear.octets(slot.name, slot.key_bytes))
                for slot in ERASE_ORDER
                if slot.protected_by is None
            },
            blocks={
                slot.name: blocks.text(slot.name, HEADER_CHARS, KEY_BLOCK_CHARS_MAX)
                for slot in ERASE_ORDER
                if slot.protected_by is not None
            },
        )


@dataclass(frozen=True, slots=True)
class SiteTerminal:
    """One terminal's folder: everything that it is personalised with."""

    directory: Path
    settings: TerminalSettings
    keys: TerminalKeys
    channel: Identity
    attestation: Identity
    acquirer_anchors: Anchors
    technician_anchors: Anchors
    maker_anchors: Anchors

    @classmethod
    def load(cls, directory: Path) -> SiteTerminal:
        """Reads ``DIR/terminals/SERIAL``. Raises SiteError."""
        return cls(
            directory=directory,
            settings=TerminalSettings.load(directory / SETTINGS_FILE),
            keys=TerminalKeys.load(directory / KEYS_FILE),
            channel=Identity.load(directory, CHANNEL),
            attestation=Identity.load(directory, ATTESTATION),
            acquirer_anchors=_anchors(directory / ACQUIRER_ANCHORS_FILE),
            technician_anchors=_anchors(directory / TECHNICIAN_ANCHORS_FILE),
            maker_anchors=_anchors(directory / MAKER_ANCHORS_FILE),
        )


@dataclass(frozen=True, slots=True)
class BookedTerminal:
    """A terminal in the acquirer's books."""

    serial: str
    initial_key_id: InitialKeyId
    channel_key_id: bytes
    """Key id (`certificates.key_id`) of its channel certificate, which signs no document; the other signs the seal."""
    contexts: tuple[Context, ...]
    initial_ksn: InitialKsn | None = None
    """Of its TDES key set, where it has one."""


@dataclass(frozen=True, slots=True)
class AcquirerSettings:
    """The acquirer's books as far as they are no secret."""

    issuer: str
    """Who signs, for people: stands in orders and receipts."""
    tpdu: bytes
    """5 bytes, as terminals send it."""
    terminals: tuple[BookedTerminal, ...]

    def toml(self) -> str:
        text = toml_lines({"issuer": self.issuer, "tpdu": self.tpdu.hex()})
        for one in self.terminals:
            values = {
                "serial": one.serial,
                "initial_key_id": one.initial_key_id.hex(),
                "channel_key_id": one.channel_key_id.hex(),
                "initial_ksn": (one.initial_ksn or b"").hex(),
            }
            text += (
                "\n[[terminal]]\n" + toml_lines(values) + _context_tables("terminal.context", one.contexts)
            )
        return text

    @classmethod
    def load(cls, path: Path) -> AcquirerSettings:
        table = Table.load(path)
        terminals = tuple(
            BookedTerminal(
                serial=one.text("serial", 1, 32),
                initial_key_id=InitialKeyId(one.octets("initial_key_id", INITIAL_KEY_ID_BYTES)),
                channel_key_id=one.octets("channel_key_id", KEY_ID_BYTES),
                contexts=_contexts(one),
                initial_ksn=InitialKsn(one.octets("initial_ksn", KSN_BYTES)),
            )
            for one in table.tables("terminal")
        )
        return cls(table.text("issuer", 1, 80), table.octets("tpdu", TPDU_BYTES), terminals)


@dataclass(frozen=True, slots=True)
class AcquirerSite:
    """The acquirer's folder: host and desk."""

    directory: Path
    settings: AcquirerSettings
    order: Identity
    release: Identity
    approver: Identity
    bdk: Secret
    anchors: Anchors
    """Whom the desk believes: terminal makers, technicians, itself."""

    @classmethod
    def load(cls, directory: Path) -> AcquirerSite:
        """Reads ``DIR/acquirer``. Raises SiteError."""
        return cls(
            directory=directory,
            settings=AcquirerSettings.load(directory / SETTINGS_FILE),
            order=Identity.load(directory, ORDER),
            release=Identity.load(directory, RELEASE),
            approver=Identity.load(directory, APPROVER),
            bdk=_bdk(directory / BDK_FILE),
            anchors=_anchors(directory / ANCHORS_FILE),
        )

    def terminal(self, serial: str) -> BookedTerminal:
        """The books' entry for one terminal. Raises SiteError."""
        for one in self.settings.terminals:
            if one.serial == serial:
                return one
        raise SiteError(f"{self.directory / SETTINGS_FILE} knows no terminal {serial}")


# --- reading --------------------------------------------------------------------------------------


def _contexts(table: Table) -> tuple[Context, ...]:
    contexts = tuple(
        Context(
            index=one.number("index", 0, CONTEXTS_MAX - 1),
            acquirer=one.text("acquirer", 1, 32),
            mid=one.text("mid", 15, 15),
            tid=one.text("tid", 8, 8),
            currency=one.number("currency", 1, 999),
            batch=one.number("batch", 1, 999_999),
            dialect=one.text("dialect", 1, 16),
        )
        for one in table.tables("context")
    )
    if [one.index for one in contexts] != list(range(len(contexts))):
        raise SiteError(f"{table.path}: contexts are not numbered 0, 1, 2...")
    return contexts


def _anchors(path: Path) -> Anchors:
    try:
        return load_anchors(read_file(path))
    except DocumentError as error:
        raise SiteError(f"{path}: {error}") from error


def _bdk(path: Path) -> Secret:
    value = unhex(read_file(path).decode("ascii", "replace"))
    if value is None or len(value) != BDK_BYTES:
        raise SiteError(f"{path} is not {BDK_BYTES} bytes in hexadecimal")
    return Secret(value)


# --- writing --------------------------------------------------------------------------------------


def _context_tables(name: str, contexts: tuple[Context, ...]) -> str:
    return "".join(
        f"\n[[{name}]]\n"
        + toml_lines(
            {
                "index": one.index,
                "acquirer": one.acquirer,
                "mid": one.mid,
                "tid": one.tid,
                "currency": one.currency,
                "batch": one.batch,
                "dialect": one.dialect,
            }
        )
        for one in contexts
    )
