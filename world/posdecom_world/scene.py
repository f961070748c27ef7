"""What one run begins with: a site, a shop's day in a terminal, an order, the books before. Equal for equal seeds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from posdecom_agent.site import TechnicianSite
from posdecom_protocol.certificates import Role, Signer, validate
from posdecom_protocol.channel import Channel, TlsChannel, client_context, server_context
from posdecom_protocol.documents import issue
from posdecom_protocol.documents.order import Action, AfterCutoff, Mode, Order, Preauths, Reason
from posdecom_protocol.secret import BytesLike, Secret
from posdecom_simulator.acquirer.books import Posting
from posdecom_simulator.acquirer.hsm import Hsm
from posdecom_simulator.forensics.record import Entry, Kind, Note
from posdecom_simulator.forensics.search import Search
from posdecom_simulator.history import read_history, write_history
from posdecom_simulator.memory.flash import FlashShape
from posdecom_simulator.memory.flash_layout import RETIRED, RETIRED_AT
from posdecom_simulator.memory.image import Geometry, Image
from posdecom_simulator.memory.survey import Use, survey_flash
from posdecom_simulator.population import Transaction, populate
from posdecom_simulator.provision import provision, seeded
from posdecom_simulator.site import AcquirerSite, SiteTerminal
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.freeze import transactions
from posdecom_simulator.terminal.hardware import HardwareStore, Place, place_of
from posdecom_simulator.terminal.personalise import personalise
from posdecom_simulator.terminal.recording import RecordingStore
from posdecom_simulator.world.channel import StubChannel

from . import oracle
from .readout import Readout, raw

NOW: Final = 1_800_000_000.0
"""2027-01-15T08:00:00Z: when every run begins."""
OPENED: Final = int(NOW) - 86_400
SITE_SEED: Final = 7
SERIAL: Final = "PD-000001"

BLOCK_BYTES: Final = 4096
"""And as many a page: one entry is one operation, which tears in the middle."""
BLOCKS_MIN: Final = 21
BLOCKS_RETIRED: Final = 3
"""Of a worn flash."""
WORN_OUT_OF: Final = 4
"""One terminal in so many has one."""
KEYS_EVERY: Final = 16
RECORDS_PER_BLOCK: Final = 5
"""With what is prepared of them; beside them there is room for the proofs, and a log that went round has to collect."""

Tap = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Site:
    """Everybody's keys and trust, in memory."""

    terminal: SiteTerminal
    acquirer: AcquirerSite
    technician: TechnicianSite
    terminal_peer: Signer
    technician_peer: Signer
    tls_client: Callable[[], Channel]
    tls_server: Callable[[float | None], Channel]

    def channels(
        self, tier: str, tap: Tap
    ) -> tuple[Callable[[], Channel], Callable[[float | None], Channel]]:
        """Makers for the agent's end and the terminal's; tier A without cryptography, B real TLS. The terminal's is
        told what certificates must outlast, None where its clock judges them."""
        if tier == "B":
            return self.tls_client, self.tls_server
        return (
            lambda: StubChannel(self.terminal_peer, server_side=False, tap=tap),
            lambda floor: StubChannel(self.technician_peer, server_side=True, floor_at=floor, tap=tap),
        )


@dataclass(frozen=True)
class Scene:
    site: Site
    day: tuple[Transaction, ...]
    order: bytes
    retires: bool
    """Else the identity stays, for a terminal that is used again."""
    rules: oracle.Rules
    image: Image
    """The terminal's chips, as the technician finds them; to be copied."""
    memory: Mapping[str, bytes]
    """What lies in them, as it lies there."""
    entries: tuple[Entry, ...]
    """Every secret that went into them so far."""
    posted: tuple[Posting, ...]
    """The acquirer's books, as the technician finds them."""

    @cached_property
    def search(self) -> Search:
        """For `entries`, as they are."""
        return Search(self.entries, raw)

    @cached_property
    def secrets(self) -> Mapping[str, bytes]:
        """Places of every key but the identity's, as they were found: not as the product's own list says."""
        identity = {slot.key for slot in slots.IDENTITY}
        return {
            name: value
            for name, value in self.memory.items()
            if name.startswith("slot/") and name not in identity
        }

    @cached_property
    def keys(self) -> Mapping[str, bytes]:
        """The identity's, too."""
        return {**self.secrets, **{slot.key: self.memory[slot.key] for slot in slots.IDENTITY}}

    def taken_by_a_tamper(self, *, with_identity: bool) -> frozenset[str]:
        """Keys that lie where the battery holds them."""
        places = {Place.SRAM, *((Place.SECURE_ELEMENT,) if with_identity else ())}
        return frozenset(name for name in self.keys if place_of(name) in places)

    @cached_property
    def sold(self) -> Mapping[str, bytes]:
        """What lies in the memory of the shop's day."""
        prefix = slots.TRANSACTION_PREFIX
        return {name: value for name, value in self.memory.items() if name.startswith(prefix)}


@lru_cache(maxsize=1)
def site() -> Site:
    with TemporaryDirectory() as folder:
        made = provision(Path(folder) / "site", seed=SITE_SEED, now=NOW)
        terminal = SiteTerminal.load(made.terminal(SERIAL))
        technician = TechnicianSite.load(made.technician)
        client = client_context(str(technician.chain_path), str(technician.key_path), technician.anchors)
        server = server_context(
            str(terminal.channel.chain_path), str(terminal.channel.key_path), terminal.technician_anchors
        )
        return Site(
            terminal,
            AcquirerSite.load(made.acquirer),
            technician,
            validate(terminal.channel.chain, technician.anchors, Role.TERMINAL_CHANNEL, None),
            validate(technician.chain, terminal.technician_anchors, Role.TECHNICIAN_CHANNEL, None),
            lambda: TlsChannel.client(client, technician.anchors, SERIAL),
            lambda floor: TlsChannel.server(server, terminal.technician_anchors, floor_at=floor),
        )


@lru_cache(maxsize=4)
def scene(seed: int, records: int) -> Scene:
    here, chance = site(), random.Random(f"scene {seed}")
    contexts = here.terminal.settings.contexts
    day = populate(seed, records, contexts, OPENED)
    order = _order(here, day, chance)
    entries: list[Entry] = []

    def note(slot: str, kind: Kind, values: Iterable[BytesLike]) -> None:
        entries.append(Entry(slot, kind, tuple(map(bytes, values))))

    is_worn = chance.randrange(WORN_OUT_OF) == 0
    image = _lived(records, entropy(seed, 3), note, is_worn=is_worn)
    store = RecordingStore(HardwareStore(image), note)
    personalise(store, here.terminal, day, note)
    return Scene(
        site=here,
        day=day,
        order=issue(order, here.acquirer.order.signing_key()),
        retires=order.mode is Mode.RETIRE,
        rules=oracle.Rules(
            cutoff=datetime.fromtimestamp(order.cutoff_at, UTC).strftime("%y%m%d%H%M%S"),
            refunds_after=order.after_cutoff is AfterCutoff.REFUND,
            voids_preauths=order.preauths is Preauths.VOID,
        ),
        image=image,
        memory=Readout(image).values(),
        entries=tuple(entries),
        posted=tuple(read_history(write_history(contexts, transactions(store)), hsm(here))),
    )


def _lived(records: int, fresh: Callable[[int], bytes], note: Note, *, is_worn: bool) -> Image:
    """The chips of a terminal before this day: they have held keys that were replaced since, and so much else that the
    log has gone round. A worn flash has retired blocks, with what was in them."""
    blocks = BLOCKS_MIN + records // RECORDS_PER_BLOCK + (BLOCKS_RETIRED if is_worn else 0)
    flash = FlashShape(blocks, BLOCK_BYTES, BLOCK_BYTES)
    image = Image.new(Geometry(flash, sram_bytes=12 * 2048, secure_element_bytes=6 * 256))
    store = RecordingStore(HardwareStore(image, entropy=fresh), note)
    keys = [slot for slot in slots.ERASE_ORDER if slot not in (slots.DUKPT, slots.DUKPT_TDES)]
    scrap = slots.item_name(1)
    for turn in range(2 * blocks):
        if turn % KEYS_EVERY == 0:
            store.put({slot.key: fresh(slot.key_bytes) for slot in keys})
        store.put({scrap: bytes(BLOCK_BYTES // 2)})
    store.erase((scrap,))
    if is_worn:
        spare = (one.block for one in survey_flash(image) if one.use is Use.SPARE and not one.is_blank)
        for block in islice(spare, BLOCKS_RETIRED):
            image.flash().program(block * BLOCK_BYTES + RETIRED_AT, RETIRED)
    return image


def hsm(here: Site) -> Hsm:
    return Hsm(here.acquirer.bdk, Secret(b"card digest key"))


def entropy(seed: int, purpose: int) -> Callable[[int], bytes]:
    return seeded(seed * 8 + purpose)


def _order(here: Site, day: tuple[Transaction, ...], chance: random.Random) -> Order:
    sold_at = [datetime.strptime(one.local_time, "%y%m%d%H%M%S").replace(tzinfo=UTC) for one in day]
    cutoffs = [NOW + 10, OPENED, *(time.timestamp() for time in sold_at[len(day) // 2 : len(day) // 2 + 1])]
    return Order(
        order_id="O-1",
        counter=1,
        issued_at=int(NOW) - 10,
        not_before=int(NOW) - 10,
        not_after=int(NOW) + 20 * 3600,
        serial=SERIAL,
        accounts=tuple(context.account for context in here.terminal.settings.contexts),
        reason=Reason.CLOSING,
        mode=chance.choice(list(Mode)),
        cutoff_at=int(chance.choice(cutoffs)),
        after_cutoff=chance.choice(list(AfterCutoff)),
        preauths=chance.choice(list(Preauths)),
        actions=(Action.FLUSH, Action.ERASE),
        issuer=here.acquirer.settings.issuer,
        revoke=(bytes(here.terminal.keys.initial_key_id),),
    )
