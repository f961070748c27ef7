"""A terminal on chips of its own, from key injection to its end, with a record of every secret it ever held.

Requests go straight into the terminal: no line, no channel. After every erase it boots on the same chips, as a fresh
process would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.cancellation import Cancellation
from posdecom_protocol.documents.order import Action, AfterCutoff, Mode, Order, Preauths, Reason
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import (
    Erasing,
    OfferCancellation,
    OfferOrder,
    OfferRelease,
    Released,
    Reply,
    Request,
    Sealed,
    StartErase,
    Thawed,
)
from posdecom_protocol.release import Terms, all_delivered, receipt_over
from posdecom_protocol.secret import BytesLike, Secret
from posdecom_protocol.tr31 import KeyBlock, wrap_key_block
from posdecom_simulator.forensics.record import Entry, Kind
from posdecom_simulator.memory.image import SMALL, Image
from posdecom_simulator.population import populate
from posdecom_simulator.provision import provision, seeded
from posdecom_simulator.site import AcquirerSite, SiteTerminal
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.hardware import HardwareStore, Place, place_of
from posdecom_simulator.terminal.key_loading import block_header, load_block, load_master_key
from posdecom_simulator.terminal.keyring import Keyring, Operation
from posdecom_simulator.terminal.personalise import personalise
from posdecom_simulator.terminal.recording import RecordingStore
from posdecom_simulator.terminal.terminal import Terminal

NOW: Final = 1_800_000_000
"""2027-01-15T08:00:00Z."""
BOOTS_MAX: Final = 5

R = TypeVar("R", bound=Reply)


@dataclass(frozen=True)
class Estate:
    """A demo site with as many terminals as there are lives to live."""

    directory: Path
    terminals: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        provision(self.directory, terminals=self.terminals, seed=self.seed, now=NOW)

    def life(
        self, number: int = 1, place: Callable[[str], Place] = place_of, transactions: int = 8
    ) -> TerminalLife:
        """The terminal of that number, new from key injection, with a few sales in its batch."""
        site = SiteTerminal.load(self.directory / "terminals" / f"PD-{number:06d}")
        acquirer = AcquirerSite.load(self.directory / "acquirer")
        # not the stream that the site was made from: a key would equal some public number of it
        life = TerminalLife(site, acquirer, place, seeded(1_000_000 + 1000 * self.seed + number))
        contexts = site.settings.contexts
        personalise(life.store, site, populate(number, transactions, contexts, NOW - 86_400), life.note)
        life.boot()
        return life


@dataclass
class TerminalLife:
    site: SiteTerminal
    acquirer: AcquirerSite
    place: Callable[[str], Place]
    entropy: Callable[[int], bytes]
    image: Image = field(default_factory=lambda: Image.new(SMALL))
    entries: list[Entry] = field(default_factory=list)
    orders: int = 0
    order: bytes = b""
    seal: bytes = b""

    def __post_init__(self) -> None:
        self.masters = {
            slot.name: Secret(self.site.keys.clear[slot.name].data) for slot in (slots.TMK, slots.TMK_TDES)
        }
        self.switch_on()

    def note(self, slot: str, kind: Kind, values: Iterable[BytesLike]) -> None:
        self.entries.append(Entry(slot, kind, tuple(map(bytes, values))))

    # --- power ---------------------------------------------------------------------------------------

    def switch_on(self) -> None:
        """A fresh store on the same chips."""
        chips = HardwareStore(self.image, entropy=self.entropy, place_of=self.place)
        self.store = RecordingStore(chips, self.note)

    def boot(self) -> Terminal:
        """Switched on until it serves: an erase that was started is finished."""
        for _ in range(BOOTS_MAX):
            self.switch_on()
            terminal = Terminal.boot(self.store, self.entropy)
            if not terminal.restart_due:
                return terminal
        raise AssertionError("the terminal never gets up")

    @property
    def state(self) -> LifecycleState:
        return Terminal(self.store, self.entropy).life.state

    # --- keys ----------------------------------------------------------------------------------------

    @property
    def keyring(self) -> Keyring:
        return Keyring(self.store, self.entropy)

    def use_keys(self) -> None:
        """One of everything that a shop's day needs."""
        keyring = self.keyring
        keyring.perform(Operation.ENCRYPT_PIN_BLOCK, slots.TPK, bytes(8))
        keyring.perform(Operation.GENERATE_MAC, slots.TAK, b"message")
        keyring.perform(Operation.ENCRYPT_DATA, slots.TDK, b"data")
        keyring.perform(Operation.DUKPT_MAC, slots.DUKPT, b"message")
        keyring.perform(Operation.DUKPT_MAC, slots.DUKPT_TDES, b"message")

    def block_for(self, slot: slots.Slot) -> str:
        """A new key for ``slot``, as the acquirer sends it."""
        assert slot.protected_by is not None
        with Secret(self.entropy(slot.key_bytes)) as key:
            return wrap_key_block(
                self.masters[slot.protected_by], KeyBlock(block_header(slot), key), self.entropy
            )

    def reload_session_keys(self) -> None:
        for slot in (slots.TPK, slots.TAK, slots.TDK):
            load_block(self.store, slot, self.block_for(slot))

    def reload_master_keys(self) -> None:
        """Back in the key injection room."""
        for slot in (slots.TMK, slots.TMK_TDES):
            self.masters[slot.name] = Secret(self.entropy(slot.key_bytes))
            load_master_key(self.store, slot, self.masters[slot.name])
        self.reload_session_keys()

    # --- lifecycle -----------------------------------------------------------------------------------

    def freeze(self, mode: Mode = Mode.RETIRE) -> None:
        self.orders += 1
        settings = self.site.settings
        order = Order(
            order_id=f"order-{self.orders}",
            counter=self.orders,
            issued_at=NOW,
            not_before=NOW - 60,
            not_after=NOW + 3600,
            serial=settings.serial,
            accounts=tuple(context.account for context in settings.contexts),
            reason=Reason.CLOSING,
            mode=mode,
            cutoff_at=NOW,
            after_cutoff=AfterCutoff.REFUND,
            preauths=Preauths.LIST,
            actions=(Action.FLUSH, Action.ERASE),
            issuer="Demo Acquirer",
        )
        self.order = issue(order, self.acquirer.order.signing_key())
        self.seal = self._ask(OfferOrder(NOW, self.order), Sealed).seal

    def freeze_and_thaw(self) -> None:
        self.freeze()
        self.thaw()

    def thaw(self) -> None:
        seal = open_document(self.seal, Seal)
        cancellation = Cancellation(
            cancellation_id="X-1",
            serial=seal.body.serial,
            seal_digest=seal.digest,
            challenge=seal.body.challenge,
            issued_at=NOW,
            issuer="Demo Acquirer",
            delivered=(),
            closed=(),
            next_batches=(),
            reason="the appeal was won",
        )
        self._ask(OfferCancellation(issue(cancellation, self.acquirer.order.signing_key())), Thawed)

    def erase(self) -> Terminal:
        """From frozen to the end."""
        order, seal = open_document(self.order, Order), open_document(self.seal, Seal)
        findings = {context.index: all_delivered(context) for context in seal.body.contexts}
        receipt = issue(
            receipt_over(order, seal, findings, Terms("R-1", "Demo Acquirer", NOW)),
            self.acquirer.release.signing_key(),
        )
        self._ask(OfferRelease((receipt,)), Released)
        self._ask(StartErase(_digest(receipt)), Erasing)
        return self.boot()

    # --- search --------------------------------------------------------------------------------------

    def regions(self) -> Iterator[tuple[str, bytes]]:
        yield from self.image.regions().items()

    def _ask(self, request: Request, expected: type[R]) -> R:
        (reply,) = Terminal(self.store, self.entropy).answer(request, NOW)
        assert isinstance(reply, expected), reply
        return reply


def _digest(document: bytes) -> bytes:
    return hashlib.sha256(document).digest()
