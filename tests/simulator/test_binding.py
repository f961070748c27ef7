"""A blank terminal goes back into service by its maker's bind, and by nobody else's word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from posdecom_protocol.certificates import Anchors, load_anchors
from posdecom_protocol.cose import SigningKey, digest
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.bind import Bind
from posdecom_protocol.documents.evidence import Evidence
from posdecom_protocol.documents.order import Mode
from posdecom_protocol.errors import DocumentError, LocalError
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import OfferOrder, Refusal, Refused
from posdecom_protocol.secret import Secret
from posdecom_protocol.tr31 import KeyBlock, wrap_key_block
from posdecom_simulator.forensics.search import Search
from posdecom_simulator.provision import Site, provision, seeded
from posdecom_simulator.site import Identity, SiteTerminal, TerminalKeys
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.key_loading import block_header
from posdecom_simulator.terminal.personalise import personalise
from posdecom_simulator.terminal.store import MemoryStore
from terminal_life import NOW, Estate, TerminalLife


@dataclass(frozen=True)
class World:
    """The first owner's estate with the maker, and another acquirer."""

    estate: Estate
    other: Site

    @property
    def maker(self) -> SigningKey:
        return Identity.load(self.estate.directory / "maker", "bind").signing_key()

    def blank(self, number: int = 1, mode: Mode = Mode.REDEPLOY) -> TerminalLife:
        life = self.estate.life(number)
        life.freeze(mode)
        life.erase()
        return life

    def bind_for(self, life: TerminalLife) -> Bind:
        return Bind(
            bind_id="B-1",
            serial=life.site.settings.serial,
            evidence_digest=digest(life.store.get(slots.EVIDENCE) or b""),
            issued_at=NOW,
            issuer="Demo Terminal Maker",
            acquirer_anchors=SiteTerminal.load(self.other.terminal("PD-000001")).acquirer_anchors.pem(),
            technician_anchors=life.site.technician_anchors.pem(),
        )

    def new_site(self, life: TerminalLife) -> SiteTerminal:
        """The same terminal with new keys, as the next owner loads it."""
        return replace(life.site, keys=new_keys(life.site.keys, seeded(99)))


def new_keys(old: TerminalKeys, entropy: Callable[[int], bytes]) -> TerminalKeys:
    clear = {name: Secret(entropy(len(key))) for name, key in old.clear.items()}
    blocks = {}
    for slot in slots.ERASE_ORDER:
        if slot.protected_by is not None:
            key_block = KeyBlock(block_header(slot), Secret(entropy(slot.key_bytes)))
            blocks[slot.name] = wrap_key_block(clear[slot.protected_by], key_block, entropy)
    return TerminalKeys(old.initial_key_id, old.initial_ksn, clear, blocks)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    return World(
        Estate(folder / "estate", terminals=2), provision(folder / "other", terminals=1, seed=77, now=NOW)
    )


def content(life: TerminalLife) -> dict[str, bytes | None]:
    return {name: life.store.get(name) for name in life.store.names()}


@pytest.mark.parametrize("mode", [Mode.REDEPLOY, Mode.REPAIR])
def test_with_the_makers_bind_a_blank_terminal_serves_its_next_owner(world: World, mode: Mode) -> None:
    life = world.blank(mode=mode)
    before = life.boot().life
    bind = issue(world.bind_for(life), world.maker)
    personalise(life.store, world.new_site(life), (), life.note, bind=bind)
    terminal = life.boot()
    assert terminal.life.state is LifecycleState.ACTIVE
    assert terminal.life.counters == before.counters != ()
    assert terminal.life.last_record_at == before.last_record_at > 0
    assert life.store.get(slots.ACQUIRER_ANCHORS) == world.bind_for(life).acquirer_anchors
    assert life.store.get(slots.CHANNEL_ANCHORS) == world.bind_for(life).technician_anchors
    life.use_keys()
    chain = (slots.ORDER, slots.SEAL, *slots.RECEIPTS, slots.EVIDENCE)
    assert [life.store.get(name) for name in chain] == [None] * len(chain)


def test_the_former_owner_has_no_say_any_more(world: World) -> None:
    life = world.blank()
    personalise(
        life.store, world.new_site(life), (), life.note, bind=issue(world.bind_for(life), world.maker)
    )
    with pytest.raises(AssertionError, match="ISSUER_CHAIN"):
        life.freeze()


def test_whoever_loads_the_keys_changes_neither_identity_nor_maker(world: World) -> None:
    life = world.blank()
    for_life = (slots.MAKER_ANCHORS, slots.CHANNEL_CERTIFICATE, slots.ATTESTATION_CERTIFICATE)
    names = (*for_life, *(slot.key for slot in slots.IDENTITY))
    before = {name: life.store.get(name) for name in names}
    stranger = SiteTerminal.load(
        world.other.terminal("PD-000001")
    )  # has another maker, who calls one so, too
    personalise(life.store, stranger, (), life.note, bind=issue(world.bind_for(life), world.maker))
    assert {name: life.store.get(name) for name in names} == before
    assert life.boot().device.ueid == life.site.settings.ueid != stranger.settings.ueid


def test_of_the_former_owners_keys_none_comes_back(world: World) -> None:
    life = world.estate.life()
    identity = {slot.name for slot in slots.IDENTITY}
    search = Search(entry for entry in life.entries if entry.slot not in identity)
    life.freeze(Mode.REDEPLOY)
    life.erase()
    bind = issue(world.bind_for(life), world.maker)
    personalise(life.store, world.new_site(life), (), life.note, bind=bind)
    life.boot()
    assert [find for name, data in life.regions() for find in search.look(name, data)] == []


def test_a_bind_serves_once(world: World) -> None:
    """It names the evidence of one erase; after the next one it is dead."""
    life = world.blank()
    bind = issue(world.bind_for(life), world.maker)
    own_again = replace(world.bind_for(life), acquirer_anchors=life.site.acquirer_anchors.pem())
    personalise(life.store, life.site, (), life.note, bind=issue(own_again, world.maker))
    life.boot()
    with pytest.raises(DocumentError, match="the terminal is ACTIVE, not BLANK"):
        personalise(life.store, life.site, (), life.note, bind=bind)
    life.freeze(Mode.REDEPLOY)
    life.erase()
    with pytest.raises(DocumentError, match="is not of the erase that made the terminal blank"):
        personalise(life.store, life.site, (), life.note, bind=bind)


def test_without_a_bind_nobody_provisions_a_terminal_that_is_not_from_the_factory(world: World) -> None:
    for mode in Mode:
        life = world.blank(mode=mode)
        before = content(life)
        with pytest.raises(LocalError, match="there is no bind"):
            personalise(life.store, life.site, ())
        assert content(life) == before


def test_not_even_from_the_factory_does_a_terminal_come_with_two_acquirers_or_none(world: World) -> None:
    """Either could freeze and release what the terminal holds for the other."""
    site = SiteTerminal.load(world.estate.directory / "terminals" / "PD-000001")
    other = SiteTerminal.load(world.other.terminal("PD-000001"))
    two = load_anchors(site.acquirer_anchors.pem() + other.acquirer_anchors.pem())
    for anchors in (two, Anchors()):
        store = MemoryStore()
        with pytest.raises((LocalError, DocumentError)):
            personalise(store, replace(site, acquirer_anchors=anchors), ())
        assert list(store.names()) == []


def test_everybody_elses_signature_is_refused(world: World) -> None:
    life = world.blank()
    body, before = world.bind_for(life), content(life)
    estate, other = world.estate.directory, world.other.directory
    signers = {
        "acquirer, order": Identity.load(estate / "acquirer", "order"),
        "acquirer, release": Identity.load(estate / "acquirer", "release"),
        "acquirer, approver": Identity.load(estate / "acquirer", "approver"),
        "technician": Identity.load(estate / "technician", "technician"),
        "the terminal itself": Identity.load(estate / "terminals" / "PD-000001", "attestation"),
        "another maker": Identity.load(other / "maker", "bind"),
    }
    for who, signer in signers.items():
        with pytest.raises(DocumentError):
            personalise(life.store, life.site, (), bind=issue(body, signer.signing_key()))
        assert content(life) == before, who


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda bind: replace(bind, serial="PD-000002"), "bind, serial"),
        (lambda bind: replace(bind, evidence_digest=bytes(32)), "bind, evidence_digest"),
        (lambda bind: replace(bind, acquirer_anchors=b"none"), "trust anchors"),
        (lambda bind: replace(bind, technician_anchors=b"none"), "trust anchors"),
        (
            lambda bind: replace(bind, acquirer_anchors=bind.acquirer_anchors + bind.technician_anchors),
            "bind, acquirer_anchors",
        ),
    ],
)
def test_a_bind_is_judged_by_each_of_its_words(
    world: World, change: Callable[[Bind], Bind], where: str
) -> None:
    life = world.blank()
    before = content(life)
    with pytest.raises(DocumentError) as caught:
        personalise(life.store, life.site, (), bind=issue(change(world.bind_for(life)), world.maker))
    assert caught.value.where == where
    assert content(life) == before


def test_a_bind_with_a_broken_signature_is_refused(world: World) -> None:
    life = world.blank()
    bind = bytearray(issue(world.bind_for(life), world.maker))
    bind[-1] ^= 1
    with pytest.raises(DocumentError):
        personalise(life.store, life.site, (), bind=bytes(bind))


def test_a_retired_terminal_takes_no_bind(world: World) -> None:
    life = world.blank(mode=Mode.RETIRE)
    with pytest.raises(DocumentError, match="the terminal is RETIRED, not BLANK"):
        personalise(life.store, life.site, (), bind=issue(world.bind_for(life), world.maker))


def test_the_evidence_of_a_blank_terminal_says_why_its_identity_was_kept(world: World) -> None:
    life = world.blank()
    evidence = open_document(life.store.get(slots.EVIDENCE) or b"", Evidence).body
    assert "identity keys and order counters" in [kept.what for kept in evidence.kept]
    assert evidence.to_be_destroyed == ()


def test_a_blank_terminal_takes_no_order_either(world: World) -> None:
    life = world.blank()
    order = life.order
    life.orders += 1
    assert list(life.boot().answer(OfferOrder(NOW, order + b"\0"), NOW)) == [Refused(Refusal.STATE)]
