"""A demo site as it is laid out: who may do what in it, how long, and what lies open on the disk (nothing)."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from posdecom_agent.site import TechnicianSite
from posdecom_protocol.aes_dukpt import HostDukpt, Ksn, TerminalDukpt
from posdecom_protocol.certificates import Role, load_anchors, validate
from posdecom_protocol.channel import Plain, Secured, TlsChannel, client_context, server_context
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.secret import BytesLike
from posdecom_protocol.tr31 import unwrap_key_block
from posdecom_simulator.forensics.record import Kind
from posdecom_simulator.provision import TERMINALS_MAX, Site, provision, renew_technician
from posdecom_simulator.site import AcquirerSite, Identity, SiteError, SiteTerminal
from posdecom_simulator.terminal.slots import EVERY_SLOT

NOW = 1_790_000_000.0
DAY = 86_400.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return provision(tmp_path_factory.mktemp("site") / "demo", terminals=2, seed=1, now=NOW)


def fingerprint(directory: Path) -> dict[str, str]:
    """Every file's SHA-256, by its path inside ``directory``."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# --- layout ---------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_site_byte_for_byte(site: Site, tmp_path: Path) -> None:
    again = provision(tmp_path, terminals=2, seed=1, now=NOW)
    assert fingerprint(again.directory) == fingerprint(site.directory)
    assert len(fingerprint(site.directory)) == 44


def test_a_seed_gives_the_same_certificates_on_every_python(site: Site) -> None:
    order = Identity.load(site.acquirer, "order")
    assert hashlib.sha256(order.chain[0]).hexdigest() == (
        "753345a84dcb48b477b4ff0267157eb915c0b0fc5388ee607e49f5fff08134ec"
    )


def test_another_seed_shares_no_key_and_no_seed_is_never_repeated(site: Site, tmp_path: Path) -> None:
    sites = [site.directory]
    for number, seed in enumerate([2, None, None]):
        sites.append(provision(tmp_path / str(number), terminals=2, seed=seed, now=NOW).directory)
    keys = [path.read_bytes() for directory in sites for path in directory.rglob("*.key")]
    assert len(set(keys)) == len(keys) == 4 * 14


def test_everything_is_for_its_owner_only(site: Site) -> None:
    for path in [site.directory, *site.directory.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(SiteError, match="is not empty"):
        provision(tmp_path, seed=1, now=NOW)
    assert fingerprint(tmp_path).keys() == {"mine"}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SiteError, match="file/site cannot be written"):
        provision(tmp_path / "file" / "site", seed=1, now=NOW)


@pytest.mark.parametrize("terminals", [0, TERMINALS_MAX + 1])
def test_the_number_of_terminals_is_bounded(tmp_path: Path, terminals: int) -> None:
    with pytest.raises(SiteError, match=f"{terminals} terminals, not 1 to 999"):
        provision(tmp_path / "site", terminals=terminals, seed=1, now=NOW)
    assert not (tmp_path / "site").exists()


def test_the_trust_bundle_holds_three_authorities_and_nothing_secret(site: Site) -> None:
    assert len(load_anchors(site.trust.read_bytes()).links) == 3
    assert site.trust.read_bytes().count(b"-----BEGIN") == 3


# --- who may do what ------------------------------------------------------------------------------


def test_every_key_of_the_site_has_its_own_roles_and_no_other(site: Site) -> None:
    terminal = SiteTerminal.load(site.terminal("PD-000001"))
    acquirer = AcquirerSite.load(site.acquirer)
    technician = TechnicianSite.load(site.technician)
    held = {
        acquirer.order.chain: {Role.ORDER},
        acquirer.release.chain: {Role.RELEASE},
        acquirer.approver.chain: {Role.APPROVER},
        terminal.attestation.chain: {Role.TERMINAL},
        terminal.channel.chain: {Role.TERMINAL_CHANNEL},
        technician.chain: {Role.TECHNICIAN, Role.TECHNICIAN_CHANNEL},
        Identity.load(site.maker, "bind").chain: {Role.MAKER},
    }
    anchors = load_anchors(site.trust.read_bytes())
    for chain, roles in held.items():
        assert {role for role in Role if allowed(chain, role, site)} == roles
        for role in roles:
            assert validate(chain, anchors, role, NOW).role is role


def allowed(chain: tuple[bytes, ...], role: Role, site: Site) -> bool:
    try:
        validate(chain, load_anchors(site.trust.read_bytes()), role, NOW)
    except DocumentError:
        return False
    return True


def test_a_terminal_trusts_only_the_acquirer_with_orders_and_releases(site: Site) -> None:
    terminal = SiteTerminal.load(site.terminal("PD-000001"))
    acquirer = AcquirerSite.load(site.acquirer)
    assert validate(acquirer.release.chain, terminal.acquirer_anchors, Role.RELEASE, NOW).name
    with pytest.raises(DocumentError, match="not issued by a trusted authority"):
        validate(acquirer.release.chain, terminal.technician_anchors, Role.RELEASE, NOW)


def test_a_terminals_certificates_carry_its_serial_and_outlive_everybody(site: Site) -> None:
    terminal = SiteTerminal.load(site.terminal("PD-000002"))
    far = 253_402_300_799.0  # 9999-12-31T23:59:59Z
    anchors = load_anchors(site.trust.read_bytes())
    for identity, role in [
        (terminal.channel, Role.TERMINAL_CHANNEL),
        (terminal.attestation, Role.TERMINAL),
    ]:
        signer = validate(identity.chain, anchors, role, at=far)
        assert (signer.serial_number, signer.not_after) == ("PD-000002", far)
        [der] = identity.chain
        assert b"99991231235959Z" in der


def test_the_technicians_certificate_lives_a_day_and_is_renewed_with_another_key(tmp_path: Path) -> None:
    site = provision(tmp_path, seed=1, now=NOW)
    first = TechnicianSite.load(site.technician)
    assert first.technician.not_after - first.technician.not_before == DAY
    assert first.technician.not_before <= NOW < first.technician.not_after
    renew_technician(site.directory, now=NOW + 2 * DAY)
    second = TechnicianSite.load(site.technician)
    second.check_dates(NOW + 2 * DAY)
    assert second.technician.public_key != first.technician.public_key


def test_without_the_technicians_authority_nothing_is_renewed(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match=r"technicians\.key cannot be read"):
        renew_technician(tmp_path, now=NOW)


def test_no_two_certificates_of_an_authority_share_a_serial(site: Site) -> None:
    certificates = [
        x509.load_pem_x509_certificate(path.read_bytes())
        for folder in ("acquirer", "technician", "terminals", "authorities", "maker")
        for path in (site.directory / folder).rglob("*.pem")
        if path.with_suffix(".key").exists()
    ]
    assert len({(one.issuer, one.serial_number) for one in certificates}) == len(certificates) == 14


# --- it works together ----------------------------------------------------------------------------


def test_agent_and_terminal_of_a_site_open_a_channel(site: Site) -> None:
    terminal = SiteTerminal.load(site.terminal("PD-000001"))
    agent = TechnicianSite.load(site.technician)
    client = TlsChannel.client(
        client_context(str(agent.chain_path), str(agent.key_path), agent.anchors), agent.anchors, "PD-000001"
    )
    context = server_context(
        str(terminal.channel.chain_path), str(terminal.channel.key_path), terminal.technician_anchors
    )
    server = TlsChannel.server(context, terminal.technician_anchors)
    for _ in range(2):
        server.receive(client.bytes_to_send(), NOW)
        client.receive(server.bytes_to_send(), NOW)
    server.send(b"welcome")
    client.receive(server.bytes_to_send(), NOW)
    [secured, plain] = client.events()
    assert isinstance(secured, Secured) and plain == Plain(b"welcome")


def test_the_acquirer_derives_the_keys_that_a_terminal_uses(site: Site) -> None:
    terminal = SiteTerminal.load(site.terminal("PD-000002"))
    acquirer = AcquirerSite.load(site.acquirer)
    booked = acquirer.terminal("PD-000002")
    dukpt = TerminalDukpt.load(terminal.keys.clear["DUKPT"], terminal.keys.initial_key_id)
    ksn, keys = dukpt.next_message_keys()
    host = HostDukpt.from_bdk(acquirer.bdk, booked.initial_key_id)
    assert booked.initial_ksn == terminal.keys.initial_ksn
    assert host.message_keys(Ksn.decode(ksn.encode())) == keys
    assert booked.contexts == terminal.settings.contexts
    assert acquirer.settings.tpdu == terminal.settings.tpdu


@pytest.mark.parametrize("serial", ["PD-000001", "PD-000002"])
def test_the_books_name_the_channel_certificate_that_a_closure_revokes(site: Site, serial: str) -> None:
    certificate = x509.load_der_x509_certificate(SiteTerminal.load(site.terminal(serial)).channel.chain[0])
    key = certificate.public_key()
    assert isinstance(key, Ed25519PublicKey)
    spki = bytes.fromhex("302A300506032B6570032100") + key.public_bytes_raw()  # RFC 8410 section 10.1
    booked = AcquirerSite.load(site.acquirer).terminal(serial)
    assert booked.channel_key_id == hashlib.sha256(spki).digest()[:8]


def test_only_master_keys_and_initial_keys_stand_in_the_clear_beside_a_terminal(site: Site) -> None:
    keys = SiteTerminal.load(site.terminal("PD-000001")).keys
    assert set(keys.clear) == {"TMK", "TMK-TDES", "DUKPT", "DUKPT-TDES"}
    headers = {name: block[:1] + block[5:16] for name, block in keys.blocks.items()}
    assert headers == {
        "TPK": "BP0TE00N0000",
        "TAK": "BM3TC00N0000",
        "TDK": "DD0AE00N0000",
        "STORAGE": "DD0AB00N0000",
    }


def test_keys_for_tdes_have_odd_parity(site: Site) -> None:
    clear = SiteTerminal.load(site.terminal("PD-000001")).keys.clear
    for name in ("TMK-TDES", "DUKPT-TDES"):
        assert all(byte.bit_count() % 2 for byte in clear[name].data)


def test_every_secret_made_for_a_terminal_is_noted_once_and_by_name(tmp_path: Path) -> None:
    noted: dict[str, list[bytes]] = {}

    def note(slot: str, kind: Kind, values: Iterable[BytesLike]) -> None:
        assert kind is Kind.INJECTED
        noted.setdefault(slot, []).extend(map(bytes, values))

    site = provision(tmp_path, terminals=2, seed=1, now=NOW, note=note)
    assert set(noted) == {f"{serial}/{slot.name}" for serial in site.serials for slot in EVERY_SLOT}
    terminal = SiteTerminal.load(site.terminal("PD-000002"))
    for name, key in terminal.keys.clear.items():
        assert noted[f"PD-000002/{name}"] == [bytes(key.data)]
    for name, block in terminal.keys.blocks.items():
        kbpk = terminal.keys.clear["TMK" if block[0] == "D" else "TMK-TDES"]
        assert [bytes(unwrap_key_block(kbpk, block).key.data)] == noted[f"PD-000002/{name}"]
    assert noted["PD-000002/IDENTITY-CHANNEL"] == [bytes(terminal.channel.secret.data)]


def test_no_terminal_shares_a_key_an_account_or_a_device_id_with_another(site: Site) -> None:
    one, two = (SiteTerminal.load(site.terminal(serial)) for serial in site.serials)
    for name in one.keys.clear:
        assert one.keys.clear[name] != two.keys.clear[name]
    for name in one.keys.blocks:
        assert one.keys.blocks[name][16:] != two.keys.blocks[name][16:]
    assert {context.tid for context in one.settings.contexts}.isdisjoint(
        context.tid for context in two.settings.contexts
    )
    assert one.settings.ueid != two.settings.ueid
    assert one.settings.oem_id == two.settings.oem_id  # the same maker
