"""Real TLS with everybody who is not the one: certificates of other roles, over, of other authorities, or none at all.

To a terminal comes whoever is not a technician, and the agent meets what is not the terminal of its order. An impostor
judges nobody and says at once what the right one would say. Whoever is answered, or asked anything, has got in.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from posdecom_protocol.certificates import Role
from posdecom_protocol.channel import ALPN, ChannelEvent, Ended, Failed, Plain, Secured
from posdecom_protocol.greeting import Service
from posdecom_protocol.messages import GetInventory, Request, encode
from posdecom_simulator.authority import Authority, Subject, Validity, key_pem, new_key
from posdecom_simulator.provision import AUTHORITIES, TECHNICIANS, provision, seeded
from posdecom_simulator.site import Identity

from ..overheard import Heard
from ..scene import NOW, SERIAL, SITE_SEED, site
from .intruder import Intruder, Line
from .life import OTHER_SERIAL, Stage, life
from .matrix import Breach, Matrix, Outcome
from .meeting import STANCES, Meeting, Stance
from .rogue import Lie

DAY_S: Final = 86_400
READ_BYTES: Final = 16 * 1024
RIGHT: Final = "the right certificate"
EARLY: Final = "not yet begun"
"""Let in by a frozen terminal: from then on its clock may be wrong, and nobody is turned away for it."""

CHANNEL_STANCES: Final = ("looks", "thaws", "begins", "reads items", "receipt held", "erase due")


@dataclass(frozen=True, slots=True)
class Credential:
    """A key with its certificate, as PEM; or none."""

    key: bytes = b""
    certificate: bytes = b""
    alpn: tuple[str, ...] = (ALPN,)
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3

    def context(self, *, server_side: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = context.maximum_version = self.version
        if self.alpn:
            context.set_alpn_protocols(list(self.alpn))
        if self.key:
            with TemporaryDirectory() as folder:
                key, certificate = Path(folder) / "key", Path(folder) / "certificate"
                key.write_bytes(self.key)
                certificate.write_bytes(self.certificate)
                context.load_cert_chain(certificate, key)
        return context


def at_the_terminal(every: int = 1) -> Matrix:
    """Each credential at each stage of a terminal's life. `Breach` where an impostor is answered."""
    matrix = Matrix("the terminal, in real TLS")
    for stage in (one for one in life().stages[::every] if one.begun is None):
        for name, credential in credentials(Role.TECHNICIAN_CHANNEL).items():
            matrix.add(name, stage.name, _asked_by(stage, name, credential))
    return matrix


def at_the_agent(heard: Heard, every: int = 1) -> Matrix:
    """Each credential at each stance of the agent. `Breach` where an impostor is asked anything."""
    matrix = Matrix("the agent, in real TLS")
    for stance in [one for one in STANCES if one.name in CHANNEL_STANCES][::every]:
        for name, credential in credentials(Role.TERMINAL_CHANNEL).items():
            matrix.add(name, stance.name, _met_by(stance, heard, name, credential))
    return matrix


# --- who comes ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def credentials(right: Role) -> Mapping[str, Credential]:
    """By name; the first is the right one for an end that must have the role ``right``."""
    return dict(_Works(right).all())


class _Works:
    """Issues everything that somebody could come with."""

    def __init__(self, right: Role) -> None:
        self._right = right
        self._entropy = seeded(SITE_SEED + 1)
        with TemporaryDirectory() as folder:
            made = provision(Path(folder) / "site", seed=SITE_SEED, now=NOW)
            self._authorities = {
                name: _authority(made.directory, name) for name in ("acquirer", "maker", TECHNICIANS)
            }
            self._host = Identity.load(made.acquirer, "host")

    def all(self) -> Iterator[tuple[str, Credential]]:
        true = self._issued(self._right)
        yield RIGHT, true
        yield from ((f"role {role}", self._issued(role)) for role in Role if role is not self._right)
        yield "the host's, for TLS", _credential(bytes(self._host.secret.data), self._host.chain[0])
        if self._right is Role.TERMINAL_CHANNEL:
            yield "another serial", self._issued(self._right, serial=OTHER_SERIAL)
        yield "over", self._issued(self._right, until=NOW - DAY_S)
        yield EARLY, self._issued(self._right, since=NOW + DAY_S)
        yield "right role, an authority without it", self._issued(self._right, by=self._of(Role.ORDER))
        yield "an authority of the same name", self._issued(self._right, by=self._namesake())
        yield "the authority itself", self._as_leaf(self._of(self._right))
        yield "signed by itself", self._as_leaf(self._namesake())
        yield "no certificate", Credential()
        yield "another application", replace(true, alpn=("h2",))
        yield "no application named", replace(true, alpn=())
        yield "TLS 1.2", replace(true, version=ssl.TLSVersion.TLSv1_2)

    def _issued(
        self,
        role: Role,
        *,
        by: Authority | None = None,
        serial: str = SERIAL,
        since: float = NOW - 2 * DAY_S,
        until: float = NOW + DAY_S,
    ) -> Credential:
        key = new_key(self._entropy)
        authority = by or self._of(role)
        subject = Subject(f"Somebody {role}", serial)
        leaf = authority.issue(key.public_key(), subject, [role], Validity(since, until))
        return Credential(key_pem(key), leaf.public_bytes(Encoding.PEM))

    def _of(self, role: Role) -> Authority:
        return self._authorities[_ISSUERS[role]]

    def _namesake(self) -> Authority:
        name = (
            self._of(self._right)
            .certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0]
            .value
        )
        return Authority.create(str(name), [self._right], Validity(NOW - DAY_S, NOW + DAY_S), self._entropy)

    def _as_leaf(self, authority: Authority) -> Credential:
        return Credential(key_pem(authority.key), authority.pem())


_ISSUERS: Final = {
    Role.ORDER: "acquirer",
    Role.RELEASE: "acquirer",
    Role.APPROVER: "acquirer",
    Role.TERMINAL: "maker",
    Role.TERMINAL_CHANNEL: "maker",
    Role.MAKER: "maker",
    Role.TECHNICIAN: TECHNICIANS,
    Role.TECHNICIAN_CHANNEL: TECHNICIANS,
}


def _authority(directory: Path, name: str) -> Authority:
    identity = Identity.load(directory / AUTHORITIES, name)
    key = Ed25519PrivateKey.from_private_bytes(identity.secret.data)
    return Authority(key, x509.load_der_x509_certificate(identity.chain[0]))


def _credential(key: bytes, certificate: bytes) -> Credential:
    pem = x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)
    return Credential(key_pem(Ed25519PrivateKey.from_private_bytes(key)), pem)


# --- what comes of it -----------------------------------------------------------------------------------------


def _asked_by(stage: Stage, name: str, credential: Credential) -> Outcome:
    """The stage's own next message, or a question: from the right one it is taken."""
    context = credential.context(server_side=False)
    line = Line(lambda: Impostor(context, server_side=False), site().tls_server)
    intruder = Intruder(stage, Service.CHANNEL, line)
    asked: Request = stage.genuine[0] if stage.genuine else GetInventory()
    if name == RIGHT or (name == EARLY and stage.name != "ACTIVE"):
        intruder.is_watched = False
        outcome = intruder.say(encode(asked))
        return Outcome.GRANTED if outcome is Outcome.SAME else outcome
    outcome = intruder.say(encode(asked))
    if outcome is not Outcome.CLOSED:
        raise Breach(f"{stage.name}: {name} is let in and answered")
    return outcome


def _met_by(stance: Stance, heard: Heard, name: str, credential: Credential) -> Outcome:
    context = credential.context(server_side=True)
    meeting = Meeting(
        stance, heard, Lie(), lambda: Impostor(context, server_side=True), lambda _: site().tls_client()
    )
    outcome = meeting.outcome()
    if name == RIGHT:
        return Outcome.GRANTED if meeting.rogue.asked else outcome
    if meeting.rogue.asked or outcome is not Outcome.CLOSED:
        raise Breach(f"{stance.name}: {name} is taken for the terminal")
    return outcome


class Impostor:
    """One end of TLS that judges nobody; as `channel.Channel`."""

    def __init__(self, context: ssl.SSLContext, *, server_side: bool) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        self._is_secured = self._is_over = False
        self._events: list[ChannelEvent] = []
        self._turn()

    def receive(self, data: bytes, now: float) -> None:
        self._incoming.write(data)
        self._turn()

    def receive_end(self) -> None:
        self._is_over = True

    def send(self, data: bytes) -> None:
        with suppress(ssl.SSLError):
            self._tls.write(data)

    def close(self) -> None:
        self._is_over = True

    def bytes_to_send(self) -> bytes:
        return self._outgoing.read()

    def events(self) -> list[ChannelEvent]:
        events, self._events = self._events, []
        return events

    def _turn(self) -> None:
        try:
            if not self._is_secured:
                self._tls.do_handshake()
                self._is_secured = True
                self._events.append(Secured(site().terminal_peer))
            while not self._is_over and (plain := self._tls.read(READ_BYTES)):
                self._events.append(Plain(plain))
            self._end(Ended())
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._end(Failed(error.reason or "TLS"))

    def _end(self, event: Ended | Failed) -> None:
        if not self._is_over:
            self._is_over = True
            self._events.append(event)
