"""After an erase nothing of any secret is left on any chip, whenever and however often the power failed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest

from chips import SURVIVORS, Chips, all_in_flash, erasing, small, trading, turn_over
from memory_line import Demo
from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.evidence import EraseMethod, Evidence, ReadBack
from posdecom_protocol.documents.evidence import KcvMethod as Method
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_simulator.memory.flash_log import FlashLog, Scrubbed
from posdecom_simulator.memory.image import Geometry, Image
from posdecom_simulator.memory.supply import Outcome, PowerCut
from posdecom_simulator.memory.survey import Use, survey_flash
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.hardware import HardwareStore
from posdecom_simulator.terminal.store import RegionErasure
from power import CUTS, CutAt, EveryCut


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("demo") / "site")


def kept(chips: Chips) -> dict[str, bytes | None]:
    store = chips.store()
    return {name: store.get(name) for name in SURVIVORS}


def evidence_of(chips: Chips) -> Evidence:
    return open_document(chips.store().get(slots.EVIDENCE) or b"", Evidence).body


# --- what an erase does ---------------------------------------------------------------------------------------


def test_before_the_erase_the_search_finds_every_secret_and_after_it_none(demo: Demo) -> None:
    chips = erasing(trading(demo, small(64), busy=70), demo)
    before = kept(chips)
    raw_masters = {
        name for name in chips.secrets.latest() if name.startswith("slot/TMK") and "wrapped" not in name
    }
    found = chips.names_left()
    assert (
        chips.secrets.latest() - found == raw_masters
    )  # of master keys only what is wrapped ever lies there
    assert sum("TMK wrapped" in name for name in found) > 10
    assert chips.boot().life.state is LifecycleState.RETIRED
    assert chips.names_left() == set()
    assert kept(chips) == before


def test_the_evidence_says_for_each_slot_how_it_was_erased(demo: Demo) -> None:
    chips = erasing(trading(demo, small(64)), demo)
    chips.boot()
    reports = {report.slot: report for report in evidence_of(chips).slots}
    wrapped = {slots.TMK.name, slots.TMK_TDES.name}
    assert set(reports) == {slot.name for slot in (*slots.ERASE_ORDER, slots.WRAP)}
    for name, report in reports.items():
        method = EraseMethod.BLOCK_ERASE if name in wrapped else EraseMethod.OVERWRITE
        assert (report.method, report.read_back) == (method, ReadBack.EMPTY)
        assert report.kcv_method is not Method.NONE
        assert report.kcv_before


def test_after_the_erase_the_flash_holds_the_kept_values_and_otherwise_nothing(demo: Demo) -> None:
    chips = erasing(trading(demo, small(64), busy=70), demo)
    chips.boot()
    found = {name for block in survey_flash(chips.image) for name in (*block.live, *block.dead)}
    held = set(chips.store().names())
    assert found == held | {slots.INTENT}
    assert slots.INTENT not in held
    assert held >= {*SURVIVORS, slots.EVIDENCE, slots.STATE, slots.DEVICE, slots.BOOT_COUNT}
    assert not any(name.startswith((slots.TRANSACTION_PREFIX, slots.ITEM_PREFIX)) for name in found)


def has_a_master_key_in_a_retired_block(chips: Chips) -> bool:
    retired = (block for block in survey_flash(chips.image) if block.use is Use.RETIRED)
    return any(slots.TMK.key in block.dead for block in retired)


def test_worn_cells_are_told_and_what_they_hold_is_not_the_secret(demo: Demo) -> None:
    chips = trading(demo, small(128, endurance_erases=2))
    store = chips.store()
    for _ in range(1000):
        if has_a_master_key_in_a_retired_block(chips):
            break
        turn_over(chips, store)
    assert has_a_master_key_in_a_retired_block(chips)
    erasing(chips, demo)
    before = kept(chips)
    chips.boot()
    assert chips.names_left() == set()
    assert kept(chips) == before
    evidence = evidence_of(chips)
    assert evidence.every_slot_is_empty
    assert any("worn bits of flash" in one.what for one in evidence.kept)


def test_a_region_that_does_not_read_back_leaves_every_slot_in_it_not_empty(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    chips = erasing(trading(demo, small(64)), demo)
    scrub = FlashLog.scrub

    def scrub_and_fail(log: FlashLog) -> Scrubbed:
        done = scrub(log)
        done.not_zero = 1
        return done

    monkeypatch.setattr(FlashLog, "scrub", scrub_and_fail)
    chips.boot()
    not_empty = {one.slot for one in evidence_of(chips).slots if one.read_back is ReadBack.NOT_EMPTY}
    assert not_empty == {slots.TMK.name, slots.TMK_TDES.name}
    assert not evidence_of(chips).every_slot_is_empty


def test_a_tamper_after_the_intent_leaves_an_erase_without_evidence(demo: Demo) -> None:
    chips = erasing(trading(demo, small(64)), demo)
    chips.store().tamper()
    terminal = chips.boot()
    assert terminal.life.state is LifecycleState.RETIRED
    assert terminal.is_tampered
    assert chips.store().get(slots.EVIDENCE) is None
    assert chips.names_left() == set()


# --- two lazy erases ------------------------------------------------------------------------------------------


def overwrite_through_the_file_layer(patch: pytest.MonkeyPatch) -> None:
    """Writes zeros over each value by its name; the log puts them somewhere else."""
    erase = HardwareStore.erase

    def zeros_first(store: HardwareStore, names: Iterable[str]) -> None:
        present = [name for name in names if store.get(name) is not None]
        store.put({name: bytes(len(store.get(name) or b"")) for name in present})
        erase(store, present)

    def claims(store: HardwareStore, _: object = None) -> dict[str, RegionErasure]:
        return {region: RegionErasure(EraseMethod.OVERWRITE, True) for region in store.regions()}

    patch.setattr(HardwareStore, "erase", zeros_first)
    patch.setattr(HardwareStore, "sanitize", claims)


def erase_the_live_blocks_only(patch: pytest.MonkeyPatch) -> None:
    """Scrubs every block in use; spare and retired ones are not looked at."""
    scrub = FlashLog.scrub

    def scrub_some(log: FlashLog) -> Scrubbed:
        first, *_ = spare = sorted(log._spare)
        log._spare, retired, log._retired = [first], log._retired, set()
        done = scrub(log)
        log._spare, log._retired = [*log._spare, *(one for one in spare[1:])], retired
        return done

    patch.setattr(FlashLog, "scrub", scrub_some)


@pytest.mark.parametrize("lazy", [overwrite_through_the_file_layer, erase_the_live_blocks_only])
def test_a_lazy_erase_leaves_keys_that_the_search_finds(
    demo: Demo, lazy: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    lazy(monkeypatch)
    left = {}
    for where in ("chips as they are", "all in flash"):
        chips = trading(demo, small(64), busy=70)
        if where == "all in flash":
            chips = trading(demo, small(64), all_in_flash, busy=70)
        erasing(chips, demo).boot()
        assert evidence_of(chips).every_slot_is_empty  # it is not even noticed
        left[where] = chips.names_left()
    print(f"\n{lazy.__name__}:", *(f"{len(names)} left, {where}" for where, names in left.items()))
    assert any("TMK wrapped" in name for name in left["chips as they are"])
    assert any(name.startswith("slot/TPK") for name in left["all in flash"])
    assert any(name.startswith("slot/TMK #") for name in left["all in flash"])


def test_an_honest_erase_leaves_none_even_with_every_key_in_the_flash(demo: Demo) -> None:
    chips = erasing(trading(demo, small(64), all_in_flash, busy=70), demo)
    assert len(chips.names_left()) > 40
    chips.boot()
    assert chips.names_left() == set()


# --- power cuts -----------------------------------------------------------------------------------------------


class Judge:
    """Boots whatever a cut left, and looks at what is there then."""

    def __init__(self, chips: Chips, every: int = 1) -> None:
        self.cases = 0
        self._every = every
        self._chips = chips
        self._kept = kept(chips)
        reference = chips.on(chips.image.copy())
        reference.boot()
        self._evidence = reference.store().get(slots.EVIDENCE)
        assert self._evidence is not None

    def left(self, operation: int, outcome: Outcome, image: Image) -> None:
        case = f"operation {operation}, {outcome.value}"
        self.cases += 1
        if self.cases % self._every:
            return
        if outcome is Outcome.COMPLETE:
            self.has_evidence_only_after_the_erase(image, case)
        self.finishes(image, case)

    def has_evidence_only_after_the_erase(self, image: Image, case: str) -> None:
        if slots.EVIDENCE.encode() in image.regions()["flash"]:
            seen = self._chips.on(image.copy())
            if seen.store().get(slots.EVIDENCE) is not None:
                assert not {name for name in seen.names_left() if "IDENTITY" not in name}, case

    def finishes(self, image: Image, case: str) -> None:
        chips = self._chips.on(image)
        assert chips.boot().life.state is LifecycleState.RETIRED, case
        assert chips.names_left() == set(), case
        store = chips.store()
        assert {name: store.get(name) for name in SURVIVORS} == self._kept, case
        assert store.get(slots.EVIDENCE) == self._evidence, case


@pytest.mark.parametrize(
    ("blocks", "busy", "operations_min", "every"),
    [
        (32, 40, 150, 7),
        pytest.param(32, 40, 150, 1, marks=pytest.mark.long),
        pytest.param(64, 120, 200, 1, marks=pytest.mark.long),
    ],
)
def test_a_cut_at_every_operation_of_the_erase_loses_no_proof_and_leaves_no_secret(
    blocks: int, busy: int, operations_min: int, every: int, demo: Demo
) -> None:
    chips = erasing(trading(demo, small(blocks), busy=busy), demo)
    assert sum("TMK wrapped" in name for name in chips.names_left()) > 3
    judge = Judge(chips, every)
    supply = EveryCut(chips.image, judge.left)
    chips.boot(supply)
    supply.settle()
    print(f"\n{blocks} blocks: {supply.operations} operations, {judge.cases // every} cuts")
    assert judge.cases > 3 * supply.operations > 3 * operations_min


@pytest.mark.parametrize(
    ("geometry", "pairs"),
    [(small(32), 30), pytest.param(Geometry(), 24, marks=pytest.mark.long)],
    ids=["32 blocks", "4 MiB"],
)
def test_a_second_cut_while_the_erase_is_finished_changes_nothing(
    geometry: Geometry, pairs: int, demo: Demo
) -> None:
    """A sample, on wear as it came; all pairs: test_erase_cut_twice.py."""
    chips = erasing(trading(demo, geometry, busy=12), demo)
    judge = Judge(chips)
    counting = CutAt(0, Outcome.COMPLETE)
    chips.on(chips.image.copy()).boot(counting)
    chance, both = random.Random(1), 0
    for number in range(pairs):
        image = chips.image.copy()
        for _ in range(2):
            try:
                chips.on(image).boot(CutAt(1 + chance.randrange(counting.count), chance.choice(CUTS)))
            except PowerCut:
                both += 1
        judge.has_evidence_only_after_the_erase(image, f"pair {number}")
        judge.finishes(image, f"pair {number}")
    print(
        f"\n{geometry.flash.blocks} blocks: {counting.count} operations, {pairs} pairs of cuts, {both} cuts in them"
    )
    assert both > pairs
