"""Lays out a demo site (see `site`): three authorities, an acquirer, a technician, and terminals in service.

With a seed every byte is reproducible, keys included; such a site is for tests and protects nothing. Without one
the keys come from the operating system.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from posdecom_protocol.aes_dukpt import InitialKeyId, initial_key
from posdecom_protocol.certificates import Role, key_id
from posdecom_protocol.secret import Secret
from posdecom_protocol.tdes_dukpt import InitialKsn
from posdecom_protocol.tr31 import KeyBlock, wrap_key_block

from .authority import NEVER, Authority, Entropy, Subject, Validity, key_pem, new_key
from .forensics.record import Kind, Note, note_nothing, prefixed
from .site import (
    ACQUIRER_ANCHORS_FILE,
    ANCHORS_FILE,
    APPROVER,
    ATTESTATION,
    BDK_BYTES,
    BDK_FILE,
    CHANNEL,
    HOST,
    HOST_CA_FILE,
    KEYS_FILE,
    MAKER_ANCHORS_FILE,
    OEM_ID_BYTES,
    ORDER,
    RELEASE,
    SETTINGS_FILE,
    TECHNICIAN_ANCHORS_FILE,
    AcquirerSettings,
    BookedTerminal,
    Identity,
    SiteError,
    TerminalKeys,
    TerminalSettings,
)
from .terminal import slots
from .terminal.device import Context
from .terminal.key_loading import block_header

TERMINALS_MAX: Final = 999
NEXT_OWNER: Final = 50_000
"""Between the merchant accounts of one acquirer and of the next."""

TECHNICIAN, ACQUIRER, TERMINALS, AUTHORITIES = "technician", "acquirer", "terminals", "authorities"
MAKER: Final = "maker"
BIND: Final = "bind"
TECHNICIANS: Final = "technicians"
"""Names of folders, and of the technicians' authority in the last one."""

HOUR_S: Final = 3600.0
DAY_S: Final = 24 * HOUR_S
YEAR_S: Final = 365.25 * DAY_S
TECHNICIAN_VALID_S: Final = DAY_S
"""A stolen laptop is worth at most a day."""
TECHNICIAN_BACKDATED_S: Final = HOUR_S / 12
"""For terminals whose clocks are a little behind."""
BACKDATED_S: Final = DAY_S
"""Of all other certificates: a shop's day before the visit lies in it."""
AUTHORITY_YEARS: Final = 20
SIGNER_YEARS: Final = 3

ACQUIRER_ROLES: Final = {ORDER: Role.ORDER, RELEASE: Role.RELEASE, APPROVER: Role.APPROVER}
MAKER_ROLES: Final = (Role.TERMINAL, Role.TERMINAL_CHANNEL, Role.MAKER)
TECHNICIAN_ROLES: Final = (Role.TECHNICIAN, Role.TECHNICIAN_CHANNEL)

ISSUER: Final = "Demo Acquirer"
HOST_NAMES: Final = ("localhost", "127.0.0.1", "::1")
"""Where the demo's host is reached by TLS; its certificate names nothing else."""

TPDU: Final = bytes.fromhex("6000030000")
CURRENCIES: Final = (156, 344)
"""ISO 4217: CNY and HKD; one context each."""

DIALECTS: Final = ("cup", "edc")


@dataclass(frozen=True, slots=True)
class Site:
    """Where everything is."""

    directory: Path
    serials: tuple[str, ...]

    @property
    def technician(self) -> Path:
        """For `posdecom_agent.site` (the agent's ``--site``)."""
        return self.directory / TECHNICIAN

    @property
    def acquirer(self) -> Path:
        """For `site.AcquirerSite`."""
        return self.directory / ACQUIRER

    @property
    def maker(self) -> Path:
        """Folder of the maker's signer, `BIND`, for `site.Identity`."""
        return self.directory / MAKER

    @property
    def trust(self) -> Path:
        """PEM bundle of all anchors, for whoever verifies documents."""
        return self.directory / "trust.pem"

    def terminal(self, serial: str) -> Path:
        """For `site.SiteTerminal`."""
        return self.directory / TERMINALS / serial


def provision(
    directory: Path,
    terminals: int = 1,
    seed: int | None = None,
    *,
    now: float,
    note: Note = note_nothing,
    dialects: Sequence[str] = ("cup",),
    next_owner_of: Path | None = None,
) -> Site:
    """Makes ``directory`` a new site with ``terminals`` terminals, "PD-000001" and up.

    Args:
        terminals: 1 to `TERMINALS_MAX`.
        seed: makes every byte reproducible; None takes the operating system's randomness.
        now: seconds since 1970, the time from which certificates are dated. The technician's lives 24 hours.
        note: hears of every secret that is made for a terminal, as "SERIAL/SLOT".
        dialects: of `DIALECTS`, in which each terminal's contexts settle: the first in the first, and so on by turns.
        next_owner_of: another site, whose terminals come to this one: the same maker and the same devices with their
            identities, but another acquirer with other keys and merchant accounts.

    Raises:
        SiteError: when the folder holds something already, or cannot be written.
    """
    if not 1 <= terminals <= TERMINALS_MAX:
        raise SiteError(f"{terminals} terminals, not 1 to {TERMINALS_MAX}")
    entropy = os.urandom if seed is None else seeded(seed)
    site = Site(directory, tuple(f"PD-{number:06d}" for number in range(1, terminals + 1)))
    try:
        if directory.exists() and any(directory.iterdir()):
            raise SiteError(f"{directory} is not empty")
        former = None if next_owner_of is None else Site(next_owner_of, site.serials)
        _Provisioning(site, entropy, now, note, tuple(dialects), former).run()
    except OSError as error:
        raise SiteError(f"{directory} cannot be written: {error.strerror}") from error
    return site


def renew_technician(directory: Path, *, now: float, entropy: Entropy = os.urandom) -> None:
    """Gives the site's technician a new key and certificate for 24 hours from ``now``. Raises SiteError."""
    authority = _authority(directory, TECHNICIANS)
    try:
        _issue_technician(authority, directory / TECHNICIAN, entropy, now)
    except OSError as error:
        raise SiteError(f"{directory / TECHNICIAN} cannot be written: {error.strerror}") from error


def _authority(directory: Path, name: str) -> Authority:
    """One of the authorities of the site in ``directory``. Raises SiteError."""
    identity = Identity.load(directory / AUTHORITIES, name)
    key = Ed25519PrivateKey.from_private_bytes(identity.secret.data)
    return Authority(key, x509.load_der_x509_certificate(identity.chain[0]))


def seeded(seed: int) -> Entropy:
    """An endless stream of bytes that depends on ``seed`` only, the same on every Python."""
    numbers: Iterator[int] = count()
    return lambda length: hashlib.shake_256(f"posdecom/site/1/{seed}/{next(numbers)}".encode()).digest(length)


class _Provisioning:
    """One site while it is laid out."""

    def __init__(
        self,
        site: Site,
        entropy: Entropy,
        now: float,
        note: Note,
        dialects: tuple[str, ...],
        former: Site | None,
    ) -> None:
        self._site = site
        self._dialects = dialects
        self._former = former
        self._note = note
        self._entropy = entropy
        self._now = now
        since = now - BACKDATED_S
        self._device_validity = Validity(since, NEVER)
        self._signer_validity = Validity(since, now + SIGNER_YEARS * YEAR_S)
        authority_validity = Validity(since, now + AUTHORITY_YEARS * YEAR_S)
        self._acquirer = Authority.create(ISSUER, ACQUIRER_ROLES.values(), authority_validity, entropy)
        if former is None:
            # Never expires either: a device certificate is worth no more than the authority above it.
            self._maker = Authority.create("Demo Terminal Maker", MAKER_ROLES, self._device_validity, entropy)
        else:
            self._maker = _authority(former.directory, "maker")
        self._technicians = Authority.create("Demo Service", TECHNICIAN_ROLES, authority_validity, entropy)
        self._bdk = Secret(entropy(BDK_BYTES))
        self._bdk_id = entropy(4)
        self._oem_id = entropy(OEM_ID_BYTES)

    def run(self) -> None:
        self._site.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in (TECHNICIAN, ACQUIRER, TERMINALS, AUTHORITIES, MAKER):
            (self._site.directory / name).mkdir(mode=0o700)
        trust = self._acquirer.pem() + self._maker.pem() + self._technicians.pem()
        _write(self._site.trust, trust)
        self._lay_out_authorities()
        self._lay_out_acquirer(trust)
        _write(self._site.technician / ANCHORS_FILE, trust)
        _issue_technician(self._technicians, self._site.technician, self._entropy, self._now)
        for number, serial in enumerate(self._site.serials, start=1):
            self._lay_out_terminal(number, serial)
        subject = Subject("Demo Terminal Maker bind")
        self._write_identity(self._site.maker, BIND, self._maker, subject, Role.MAKER, self._signer_validity)
        self._book_terminals()
        self._lay_out_host()

    def _lay_out_authorities(self) -> None:
        authorities = {"acquirer": self._acquirer, "maker": self._maker, TECHNICIANS: self._technicians}
        for name, authority in authorities.items():
            _write(self._site.directory / AUTHORITIES / f"{name}.key", key_pem(authority.key))
            _write(self._site.directory / AUTHORITIES / f"{name}.pem", authority.pem())

    def _lay_out_acquirer(self, trust: bytes) -> None:
        folder = self._site.acquirer
        for name, role in ACQUIRER_ROLES.items():
            subject = Subject(f"{ISSUER} {name}")
            self._write_identity(folder, name, self._acquirer, subject, role, self._signer_validity)
        _write(folder / BDK_FILE, self._bdk.data.hex().encode() + b"\n")
        _write(folder / ANCHORS_FILE, trust)

    def _lay_out_host(self) -> None:
        """Last, so that a seed gives everything else the bytes that it always gave."""
        authority = Authority.create_for_tls(f"{ISSUER} network", self._signer_validity, self._entropy)
        key = new_key(self._entropy)
        subject = Subject(f"{ISSUER} host")
        certificate = authority.issue_for_tls(key.public_key(), subject, HOST_NAMES, self._signer_validity)
        authorities, acquirer = self._site.directory / AUTHORITIES, self._site.acquirer
        _write(authorities / f"{HOST}.key", key_pem(authority.key))
        _write(authorities / f"{HOST}.pem", authority.pem())
        _write(acquirer / f"{HOST}.key", key_pem(key))
        _write(acquirer / f"{HOST}.pem", certificate.public_bytes(Encoding.PEM))
        _write(self._site.technician / HOST_CA_FILE, authority.pem())

    def _book_terminals(self) -> None:
        booked = tuple(
            BookedTerminal(
                serial,
                self._initial_key_id(number),
                self._channel_key_id(serial),
                self._contexts(number),
                self._initial_ksn(number),
            )
            for number, serial in enumerate(self._site.serials, start=1)
        )
        settings = AcquirerSettings(ISSUER, TPDU, booked)
        _write(self._site.acquirer / SETTINGS_FILE, settings.toml().encode())

    def _channel_key_id(self, serial: str) -> bytes:
        return key_id(Identity.load(self._site.terminal(serial), CHANNEL).chain[0])

    def _lay_out_terminal(self, number: int, serial: str) -> None:
        folder, subject = self._site.terminal(serial), Subject(f"Demo Terminal {serial}", serial)
        folder.mkdir(mode=0o700)
        note = prefixed(self._note, f"{serial}/")
        identities = ((CHANNEL, Role.TERMINAL_CHANNEL), (ATTESTATION, Role.TERMINAL))
        for slot, (name, role) in zip(slots.IDENTITY, identities, strict=True):
            if self._former is None:
                self._write_identity(folder, name, self._maker, subject, role, self._device_validity)
            else:
                _copy_identity(self._former.terminal(serial), folder, name)
            note(slot.name, Kind.INJECTED, [Identity.load(folder, name).secret.data])
        _write(folder / KEYS_FILE, self._keys(number, note).toml().encode())
        _write(folder / SETTINGS_FILE, self._settings(number, serial).toml().encode())
        _write(folder / ACQUIRER_ANCHORS_FILE, self._acquirer.pem())
        _write(folder / TECHNICIAN_ANCHORS_FILE, self._technicians.pem())
        _write(folder / MAKER_ANCHORS_FILE, self._maker.pem())

    def _settings(self, number: int, serial: str) -> TerminalSettings:
        if self._former is not None:
            device = TerminalSettings.load(self._former.terminal(serial) / SETTINGS_FILE)
            return replace(device, contexts=self._contexts(number))
        return TerminalSettings(
            serial=serial,
            manufacturer="Demo Terminal Maker",
            model="PD-1",
            software_version="1.0.0",
            ueid=b"\x01" + self._entropy(16),
            oem_id=self._oem_id,
            tpdu=TPDU,
            contexts=self._contexts(number),
        )

    def _contexts(self, number: int) -> tuple[Context, ...]:
        return _contexts(number if self._former is None else number + NEXT_OWNER, self._dialects)

    def _keys(self, number: int, note: Note) -> TerminalKeys:
        """Master keys and initial keys in the clear, everything else as key blocks."""
        initial_key_id = self._initial_key_id(number)
        keys = {slot.name: self._new_key(slot) for slot in slots.ERASE_ORDER}
        keys[slots.DUKPT.name] = initial_key(self._bdk, initial_key_id)
        blocks: dict[str, str] = {}
        for slot in slots.ERASE_ORDER:
            note(slot.name, Kind.INJECTED, [keys[slot.name].data])
            if slot.protected_by is not None:
                key_block = KeyBlock(block_header(slot), keys.pop(slot.name))
                blocks[slot.name] = wrap_key_block(keys[slot.protected_by], key_block, self._entropy)
        return TerminalKeys(initial_key_id, self._initial_ksn(number), keys, blocks)

    def _new_key(self, slot: slots.Slot) -> Secret:
        """Random, and of odd parity where it is for TDES."""
        key = Secret(self._entropy(slot.key_bytes))
        if slot.algorithm == "TDES-2KEY":
            key.data[:] = bytes(byte ^ (byte.bit_count() + 1) % 2 for byte in key.data)
        return key

    def _initial_key_id(self, number: int) -> InitialKeyId:
        """BDK id and derivation id, 4 bytes each (X9.24-3)."""
        return InitialKeyId(self._bdk_id + number.to_bytes(4, "big"))

    def _initial_ksn(self, number: int) -> InitialKsn:
        """Of the TDES key set, which is there to be destroyed; no part of the demo trades under it."""
        return InitialKsn(self._bdk_id + number.to_bytes(3, "big") + bytes(3))

    def _write_identity(
        self, folder: Path, name: str, authority: Authority, subject: Subject, role: Role, validity: Validity
    ) -> None:
        key = new_key(self._entropy)
        certificate = authority.issue(key.public_key(), subject, [role], validity)
        _write(folder / f"{name}.key", key_pem(key))
        _write(folder / f"{name}.pem", certificate.public_bytes(Encoding.PEM))


def _copy_identity(source: Path, folder: Path, name: str) -> None:
    for kind in ("key", "pem"):
        _write(folder / f"{name}.{kind}", (source / f"{name}.{kind}").read_bytes())


def _issue_technician(authority: Authority, folder: Path, entropy: Entropy, now: float) -> None:
    since = now - TECHNICIAN_BACKDATED_S
    validity = Validity(since, since + TECHNICIAN_VALID_S)
    key = new_key(entropy)
    certificate = authority.issue(key.public_key(), Subject("Demo Technician"), TECHNICIAN_ROLES, validity)
    _write(folder / "technician.key", key_pem(key))
    _write(folder / "technician.pem", certificate.public_bytes(Encoding.PEM))


def _contexts(number: int, dialects: tuple[str, ...]) -> tuple[Context, ...]:
    """One per currency: another merchant account and terminal id at the same acquirer."""
    return tuple(
        Context(
            index=index,
            acquirer="DEMO",
            mid=f"898{currency}{number:09d}",
            tid=f"{currency}{number:05d}",
            currency=currency,
            batch=1,
            dialect=dialects[index % len(dialects)],
        )
        for index, currency in enumerate(CURRENCIES)
    )


def _write(path: Path, data: bytes) -> None:
    """A file for its owner only; an old one is replaced at once or not."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    fresh.replace(path)
