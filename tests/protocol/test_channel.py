"""Two ends of the channel against each other, and one end against wrong peers and a hostile line."""

from __future__ import annotations

import os
import random
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from posdecom_protocol.certificates import Anchors, Role, load_anchors
from posdecom_protocol.channel import (
    ALPN,
    ChannelEvent,
    Ended,
    Failed,
    Plain,
    Secured,
    TlsChannel,
    client_context,
    server_context,
)
from posdecom_protocol.errors import LocalError
from posdecom_simulator.authority import NEVER, Authority, Subject, Validity, key_pem, new_key

NOW = 1_790_000_000.0
DAY = 86_400.0
SERIAL = "PD-000001"

MAKER_ROLES = (Role.TERMINAL, Role.TERMINAL_CHANNEL, Role.MAKER)
TECHNICIAN_ROLES = (Role.TECHNICIAN, Role.TECHNICIAN_CHANNEL)


@dataclass(frozen=True)
class Paths:
    """Where one party's certificate chain and key are."""

    chain: str
    key: str


class Works:
    """Both authorities, and whatever certificates a test wants of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.entropy = random.Random(1).randbytes
        always = Validity(0.0, NEVER)
        self.maker = Authority.create("maker", MAKER_ROLES, always, self.entropy)
        self.technicians = Authority.create("technicians", TECHNICIAN_ROLES, always, self.entropy)
        self.stranger = Authority.create("stranger", Role, always, self.entropy)
        self.terminal = self.party(self.maker, Subject("terminal", SERIAL), [Role.TERMINAL_CHANNEL])
        self.agent = self.party(self.technicians, Subject("technician"), [Role.TECHNICIAN_CHANNEL])

    def party(
        self,
        authority: Authority,
        subject: Subject,
        roles: list[Role],
        validity: Validity = Validity(NOW - DAY, NOW + DAY),  # noqa: B008 - frozen
    ) -> Paths:
        key = new_key(self.entropy)
        certificate = authority.issue(key.public_key(), subject, roles, validity)
        number = len(list(self.directory.iterdir()))
        chain, secret = self.directory / f"{number}.pem", self.directory / f"{number}.key"
        chain.write_bytes(certificate.public_bytes(Encoding.PEM))
        secret.write_bytes(key_pem(key))
        return Paths(str(chain), str(secret))

    def client(self, party: Paths | None = None, *authorities: Authority) -> TlsChannel:
        party, trusted = party or self.agent, anchors(*(authorities or (self.maker,)))
        return TlsChannel.client(client_context(party.chain, party.key, trusted), trusted, SERIAL)

    def server(self, party: Paths | None = None, *, floor_at: float | None = None) -> TlsChannel:
        party, trusted = party or self.terminal, anchors(self.technicians)
        context = server_context(party.chain, party.key, trusted)
        return TlsChannel.server(context, trusted, floor_at=floor_at)


def anchors(*authorities: Authority) -> Anchors:
    return load_anchors(b"".join(authority.pem() for authority in authorities))


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Works:
    return Works(tmp_path_factory.mktemp("channel"))


def converse(
    client: TlsChannel, server: TlsChannel, now: float = NOW
) -> tuple[list[ChannelEvent], list[ChannelEvent]]:
    """Carries bytes both ways until both are silent; the events of client and server."""
    at_client: list[ChannelEvent] = []
    at_server: list[ChannelEvent] = []
    for _ in range(20):
        to_server, to_client = client.bytes_to_send(), server.bytes_to_send()
        if not to_server and not to_client:
            return at_client, at_server
        server.receive(to_server, now)
        client.receive(to_client, now)
        at_client += client.events()
        at_server += server.events()
    raise AssertionError("the two ends do not come to rest")


def secured(works: Works) -> tuple[TlsChannel, TlsChannel]:
    client, server = works.client(), works.server()
    converse(client, server)
    return client, server


def reason(events: list[ChannelEvent]) -> str:
    """The reason of the one failure at the end of ``events``."""
    failures = [event for event in events if isinstance(event, Failed)]
    assert failures == events[-1:], events
    return failures[0].reason


# --- the ordinary session -------------------------------------------------------------------------------------


def test_both_ends_learn_who_the_other_is_and_talk(works: Works) -> None:
    client, server = works.client(), works.server()
    at_client, at_server = converse(client, server)
    [terminal], [technician] = at_client, at_server
    assert isinstance(terminal, Secured) and terminal.peer.serial_number == SERIAL
    assert terminal.peer.role is Role.TERMINAL_CHANNEL
    assert isinstance(technician, Secured) and technician.peer.name == "technician"
    assert technician.peer.role is Role.TECHNICIAN_CHANNEL
    client.send(b"question")
    server.send(b"answer")
    assert converse(client, server) == ([Plain(b"answer")], [Plain(b"question")])


def test_a_session_arrives_byte_by_byte_just_as_well(works: Works) -> None:
    client, server = works.client(), works.server()
    events: list[ChannelEvent] = []
    for source, target in [(client, server), (server, client), (client, server)]:
        for byte in source.bytes_to_send():
            target.receive(bytes([byte]), NOW)
        events += target.events()
    client.send(bytes(range(100)))
    for byte in client.bytes_to_send():
        server.receive(bytes([byte]), NOW)
    [plain] = server.events()
    assert [type(event) for event in events] == [Secured, Secured]
    assert plain == Plain(bytes(range(100)))


def test_data_of_many_records_arrives_whole_and_in_order(works: Works) -> None:
    client, server = secured(works)
    data = random.Random(2).randbytes(100_000)
    server.send(data)
    client.receive(server.bytes_to_send(), NOW)
    assert client.events() == [Plain(data)]


def test_the_handshake_has_no_tickets_and_always_the_same_lengths(works: Works) -> None:
    lengths = set()
    for _ in range(5):
        client, server = works.client(), works.server()
        hello = client.bytes_to_send()
        server.receive(hello, NOW)
        answer = server.bytes_to_send()
        client.receive(answer, NOW)
        finished = client.bytes_to_send()
        server.receive(finished, NOW)
        assert server.bytes_to_send() == b""  # tickets would go out here
        lengths.add((len(hello), len(answer), len(finished)))
    assert len(lengths) == 1


def test_a_close_ends_both_sides_cleanly(works: Works) -> None:
    client, server = secured(works)
    server.send(b"last words")
    server.close()
    assert converse(client, server) == ([Plain(b"last words"), Ended()], [])
    client.send(b"too late, dropped")
    assert client.bytes_to_send() == b""


def test_a_close_is_answered_with_a_close(works: Works) -> None:
    client, server = secured(works)
    server.close()
    client.receive(server.bytes_to_send(), NOW)
    assert len(client.bytes_to_send()) == 24  # one alert record


def test_the_line_may_go_after_a_clean_end_without_another_event(works: Works) -> None:
    client, server = secured(works)
    server.close()
    converse(client, server)
    client.receive_end()
    assert client.events() == []


def test_nothing_may_be_sent_before_the_channel_is_secured(works: Works) -> None:
    for channel in (works.client(), works.server()):
        with pytest.raises(LocalError):
            channel.send(b"early")


def test_what_was_said_is_not_shown(works: Works) -> None:
    assert repr(Plain(b"secret")) == "Plain(6 bytes)"


# --- wrong peers ----------------------------------------------------------------------------------------------


def test_a_terminal_of_an_unknown_authority_is_refused_and_is_told(works: Works) -> None:
    at_client, at_server = converse(works.client(None, works.stranger), works.server())
    assert "issuer certificate" in reason(at_client)
    assert reason(at_server) == "TLS: TLSV1_ALERT_UNKNOWN_CA"


def test_the_agent_is_refused_by_its_authority_only_after_it_believed_to_be_in(works: Works) -> None:
    stranger = works.party(works.stranger, Subject("technician"), [Role.TECHNICIAN_CHANNEL])
    at_client, at_server = converse(works.client(stranger), works.server())
    assert "issuer certificate" in reason(at_server)
    assert isinstance(at_client[0], Secured)  # the trap: why the agent waits for the terminal's confirmation
    assert reason(at_client) == "TLS: TLSV1_ALERT_UNKNOWN_CA"


def test_a_missing_client_certificate_is_refused(works: Works) -> None:
    context = raw_context(ssl.PROTOCOL_TLS_CLIENT, works)
    at_server = against_raw_client(context, works.server())
    assert reason(at_server) == "TLS: PEER_DID_NOT_RETURN_A_CERTIFICATE"


def test_another_terminal_than_expected_is_refused(works: Works) -> None:
    other = works.party(works.maker, Subject("terminal", "PD-000002"), [Role.TERMINAL_CHANNEL])
    at_client, _ = converse(works.client(), works.server(other))
    assert reason(at_client) == "channel: the peer is another terminal than expected"


def test_a_terminal_without_a_serial_number_is_refused(works: Works) -> None:
    nameless = works.party(works.maker, Subject(SERIAL), [Role.TERMINAL_CHANNEL])
    at_client, _ = converse(works.client(), works.server(nameless))
    assert reason(at_client) == "channel: the peer is another terminal than expected"


def test_a_technician_who_poses_as_a_terminal_is_refused(works: Works) -> None:
    roles = [Role.TERMINAL_CHANNEL, Role.TECHNICIAN_CHANNEL]
    poser = works.party(works.technicians, Subject("terminal", SERIAL), roles)
    at_client, _ = converse(works.client(None, works.maker, works.technicians), works.server(poser))
    # OpenSSL sees it first: the technicians' authority lacks serverAuth. Our own check is tested below.
    assert "certificate purpose" in reason(at_client)


def test_a_certificate_without_the_channel_role_is_refused_though_tls_is_content(works: Works) -> None:
    for_any_server = works.party(works.maker, Subject("terminal", SERIAL), [Role.TERMINAL_CHANNEL])
    without_role(works.maker, for_any_server)
    at_client, _ = converse(works.client(), works.server(for_any_server))
    assert reason(at_client) == "certificate chain: a certificate does not carry the role terminal channel"


def without_role(authority: Authority, party: Paths) -> None:
    """Issues the party's certificate again, for any TLS server and for no role of ours."""
    old = x509.load_pem_x509_certificate(Path(party.chain).read_bytes())
    builder = x509.CertificateBuilder(
        issuer_name=old.issuer,
        subject_name=old.subject,
        public_key=old.public_key(),
        serial_number=old.serial_number,
        not_valid_before=old.not_valid_before_utc.replace(tzinfo=None),
        not_valid_after=old.not_valid_after_utc.replace(tzinfo=None),
    )
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    for extension in old.extensions:
        value = purposes if extension.oid == purposes.oid else extension.value
        builder = builder.add_extension(value, extension.critical)
    Path(party.chain).write_bytes(builder.sign(authority.key, None).public_bytes(Encoding.PEM))


# --- dates ----------------------------------------------------------------------------------------------------


def test_an_expired_technician_is_refused_by_the_terminals_clock_and_not_by_the_computers(
    works: Works,
) -> None:
    server = works.server()
    client = works.client()
    hello = client.bytes_to_send()
    server.receive(hello, NOW + 2 * DAY)
    client.receive(server.bytes_to_send(), NOW)
    server.receive(client.bytes_to_send(), NOW + 2 * DAY)
    assert reason(server.events()) == "certificate chain: a certificate has expired"
    client.receive(server.bytes_to_send(), NOW)
    assert [type(event) for event in client.events()] == [
        Secured,
        Ended,
    ]  # told by a close, for want of an alert


def test_a_terminal_without_a_plausible_clock_lets_an_expired_technician_in(works: Works) -> None:
    expired = works.party(
        works.technicians, Subject("technician"), [Role.TECHNICIAN_CHANNEL], Validity(0.0, DAY)
    )
    client, server = works.client(expired), works.server(floor_at=float(DAY))
    _, at_server = converse(client, server)
    assert isinstance(at_server[0], Secured)


def test_a_technician_whose_certificate_was_over_before_the_floor_is_refused(works: Works) -> None:
    expired = works.party(
        works.technicians, Subject("technician"), [Role.TECHNICIAN_CHANNEL], Validity(0.0, DAY)
    )
    client, server = works.client(expired), works.server(floor_at=DAY + 1.0)
    _, at_server = converse(client, server)
    assert reason(at_server) == "channel: the peer's certificate was over before this terminal was frozen"


def test_an_expired_terminal_is_refused_by_the_agent(works: Works) -> None:
    expired = works.party(
        works.maker, Subject("terminal", SERIAL), [Role.TERMINAL_CHANNEL], Validity(0.0, DAY)
    )
    at_client, _ = converse(works.client(), works.server(expired))
    assert reason(at_client) == "certificate chain: a certificate has expired"


# --- downgrade ------------------------------------------------------------------------------------------------


def raw_context(protocol: int, works: Works, party: Paths | None = None) -> ssl.SSLContext:
    """The standard library's context without any of our choices."""
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if party is not None:
        context.load_cert_chain(party.chain, party.key)
    return context


def against_raw_client(context: ssl.SSLContext, server: TlsChannel) -> list[ChannelEvent]:
    return against_raw(context, server, server_side=False)


def against_raw(context: ssl.SSLContext, ours: TlsChannel, *, server_side: bool) -> list[ChannelEvent]:
    """Our end's events in a handshake with a plain OpenSSL peer."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    peer = context.wrap_bio(incoming, outgoing, server_side=server_side)
    for _ in range(4):
        incoming.write(ours.bytes_to_send())
        with suppress(ssl.SSLError):  # it waits, or it was refused: our end's events tell
            peer.do_handshake()
        ours.receive(outgoing.read(), NOW)
    return ours.events()


@pytest.mark.parametrize("protocols", [[], ["posdecom/2"], ["h2", "posdecom/0"]])
def test_a_client_that_does_not_offer_our_protocol_is_refused(works: Works, protocols: list[str]) -> None:
    context = raw_context(ssl.PROTOCOL_TLS_CLIENT, works, works.agent)
    if protocols:
        context.set_alpn_protocols(protocols)
    assert reason(against_raw_client(context, works.server())) == f"channel: the peer does not speak {ALPN}"


@pytest.mark.parametrize("protocols", [[], ["posdecom/2"]])
def test_a_server_that_does_not_choose_our_protocol_is_refused(works: Works, protocols: list[str]) -> None:
    context = raw_context(ssl.PROTOCOL_TLS_SERVER, works, works.terminal)
    if protocols:
        context.set_alpn_protocols(protocols)
    at_client = against_raw(context, works.client(), server_side=True)
    assert reason(at_client) == f"channel: the peer does not speak {ALPN}"


def test_with_the_right_protocol_the_same_plain_peers_are_let_in(works: Works) -> None:
    client = raw_context(ssl.PROTOCOL_TLS_CLIENT, works, works.agent)
    server = raw_context(ssl.PROTOCOL_TLS_SERVER, works, works.terminal)
    for context in (client, server):
        context.set_alpn_protocols([ALPN])
    assert isinstance(against_raw_client(client, works.server())[0], Secured)
    assert isinstance(against_raw(server, works.client(), server_side=True)[0], Secured)


def test_tls_1_2_is_refused_by_the_terminal(works: Works) -> None:
    context = raw_context(ssl.PROTOCOL_TLS_CLIENT, works, works.agent)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert reason(against_raw_client(context, works.server())) == "TLS: UNSUPPORTED_PROTOCOL"


def test_tls_1_2_is_refused_by_the_agent(works: Works) -> None:
    context = raw_context(ssl.PROTOCOL_TLS_SERVER, works, works.terminal)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    at_client = against_raw(context, works.client(), server_side=True)
    assert reason(at_client).startswith("TLS: ")


# --- a hostile line -------------------------------------------------------------------------------------------


def flipped(record: bytes) -> bytes:
    return record[:-1] + bytes([record[-1] ^ 1])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda one, two: flipped(one) + two, id="flipped"),
        pytest.param(lambda one, two: two, id="dropped"),
        pytest.param(lambda one, two: one + one + two, id="duplicated"),
        pytest.param(lambda one, two: two + one, id="swapped"),
    ],
)
def test_a_damaged_stream_of_records_ends_the_session_once(
    works: Works, damage: Callable[[bytes, bytes], bytes]
) -> None:
    client, server = secured(works)
    client.send(b"one")
    one = client.bytes_to_send()
    client.send(b"two")
    server.receive(damage(one, client.bytes_to_send()), NOW)
    assert reason(server.events()) == "TLS: DECRYPTION_FAILED_OR_BAD_RECORD_MAC"
    assert len(server.bytes_to_send()) == 24  # one alert record
    server.receive(one, NOW)
    server.receive_end()
    server.send(b"dropped")
    assert server.events() == [] and server.bytes_to_send() == b""


def test_a_record_longer_than_tls_allows_ends_the_session(works: Works) -> None:
    _, server = secured(works)
    server.receive(b"\x17\x03\x03\xff\xff", NOW)
    assert reason(server.events()).startswith("TLS: ")


def test_a_line_that_ends_without_a_close_is_a_failure(works: Works) -> None:
    client, server = secured(works)
    client.send(b"a question")
    server.receive(client.bytes_to_send()[:-1], NOW)
    server.receive_end()
    assert server.events() == [Failed("the line ended inside the session")]


def test_a_line_that_ends_inside_the_handshake_is_a_failure(works: Works) -> None:
    client = works.client()
    client.receive_end()
    assert client.events() == [Failed("the line ended inside the session")]


def test_no_flip_in_the_terminals_handshake_goes_unnoticed(works: Works) -> None:
    client, server = works.client(), works.server()
    server.receive(client.bytes_to_send(), NOW)
    failures = 0
    for position in range(0, len(server.bytes_to_send()), 7):
        client, server = works.client(), works.server()
        server.receive(client.bytes_to_send(), NOW)
        changed = bytearray(server.bytes_to_send())
        changed[position] ^= 0x10
        client.receive(bytes(changed), NOW)
        events = client.events()
        assert all(isinstance(event, Failed) for event in events)
        failures += len(events)
    assert failures > 100  # the others wait for bytes that a length promised


def test_2000_mutated_client_hellos_give_a_clean_failure_or_none(works: Works) -> None:
    chance = random.Random(3)
    trusted = anchors(works.technicians)
    context = server_context(works.terminal.chain, works.terminal.key, trusted)
    hello = works.client().bytes_to_send()
    failures = 0
    for _ in range(2000):
        server = TlsChannel.server(context, trusted)
        server.receive(mutated(hello, chance), NOW)
        events = server.events()
        assert not events or (len(events) == 1 and isinstance(events[0], Failed))
        failures += len(events)
    assert failures > 200


def mutated(hello: bytes, chance: random.Random) -> bytes:
    """One to four random changes: a byte, a cut, an insertion, a repetition."""
    data = bytearray(hello)
    for _ in range(chance.randint(1, 4)):
        position = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[position] = chance.randrange(256)
            case 1:
                del data[position : position + chance.randint(1, 8)]
            case 2:
                data[position:position] = chance.randbytes(chance.randint(1, 8))
            case _:
                data[position:position] = data[position : position + 16]
    return bytes(data)


# --- the process around it ------------------------------------------------------------------------------------


def test_a_key_log_in_the_environment_is_ignored(
    works: Works, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    client, server = secured(works)
    client.send(b"question")
    assert converse(client, server) == ([], [Plain(b"question")])
    assert not log.exists()


def test_a_key_that_does_not_fit_its_certificate_is_our_own_fault(works: Works) -> None:
    for party in (Paths(works.agent.chain, works.terminal.key), Paths("missing.pem", "missing.key")):
        with pytest.raises(LocalError):
            works.client(party)


def test_no_anchors_is_our_own_fault(works: Works) -> None:
    with pytest.raises(LocalError):
        client_context(works.agent.chain, works.agent.key, Anchors())


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="anonymous files are Linux's")
def test_a_key_may_lie_in_an_anonymous_file(works: Works) -> None:
    memory = os.memfd_create("key")
    try:
        os.write(memory, Path(works.agent.key).read_bytes())
        client, server = works.client(Paths(works.agent.chain, f"/proc/self/fd/{memory}")), works.server()
    finally:
        os.close(memory)  # a context has read its files when it is made
    _, at_server = converse(client, server)
    assert isinstance(at_server[0], Secured)


def test_an_encrypted_key_is_refused_and_no_password_is_asked_for(works: Works) -> None:
    key = new_key(works.entropy).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )
    (works.directory / "encrypted.key").write_bytes(key)
    with pytest.raises(LocalError):
        works.client(Paths(works.agent.chain, str(works.directory / "encrypted.key")))
