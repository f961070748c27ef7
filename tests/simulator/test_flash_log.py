from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator, Mapping

import pytest

from posdecom_simulator.memory.flash import Flash, FlashShape
from posdecom_simulator.memory.flash_log import FlashLog
from posdecom_simulator.memory.image import Geometry, Image
from posdecom_simulator.memory.supply import MemoryFull, Operation, PowerCut, Supply, steady
from posdecom_simulator.memory.survey import Use, survey_flash
from power import CUTS, CutAt, EveryCut

SHAPE = FlashShape(blocks=16, block_bytes=512, page_bytes=128)
WEARING = FlashShape(blocks=16, block_bytes=512, page_bytes=128, endurance_erases=2)


def fresh(shape: FlashShape = SHAPE) -> Image:
    return Image.new(Geometry(shape))


def log_on(image: Image, supply: Supply = steady) -> FlashLog:
    return FlashLog(image.flash(supply))


def contents(log: FlashLog) -> dict[str, bytes | None]:
    return {name: log.get(name) for name in log.names()}


def raw(image: Image) -> bytes:
    return image.regions()["flash"]


def churn(log: FlashLog, rounds: int, chance: random.Random) -> dict[str, bytes]:
    """Put and erase by chance; returns what must be there."""
    held: dict[str, bytes] = {}
    for _ in range(rounds):
        name = f"name {chance.randrange(8)}"
        if chance.random() < 0.2:
            log.erase([name])
            held.pop(name, None)
        else:
            held[name] = chance.randbytes(chance.choice([0, 1, 30, 200, 700]))
            log.put(name, held[name])
    return held


# --- layout ---------------------------------------------------------------------------------------------------


def test_the_first_value_lies_where_the_page_says() -> None:
    """Written out by hand from the documented layout."""
    image = fresh()
    log_on(image).put("stan", b"\x01\x02\x03")
    head = b"PDFB" + struct.pack(">I", 1)
    checked = bytes.fromhex("04 80 0003 00000001")
    check = struct.pack(">I", zlib.crc32(checked + b"stan" + b"\x01\x02\x03"))
    block = head + struct.pack(">I", zlib.crc32(head)) + b"\xff\xff\xff\xff"
    block += b"\x5d\xff" + checked + check + b"stan\x01\x02\x03"
    assert raw(image) == block.ljust(SHAPE.size_bytes, b"\xff")


def test_a_dead_entry_differs_from_a_live_one_in_one_byte() -> None:
    image = fresh()
    log = log_on(image)
    log.put("stan", b"\x01\x02\x03")
    live = raw(image)
    log.erase(["stan"])
    assert raw(image) == live[:17] + b"\x00" + live[18:]


# --- a store --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_values_are_there_at_once_and_after_every_boot(seed: int) -> None:
    image = fresh()
    chance = random.Random(seed)
    log = log_on(image)
    held: dict[str, bytes] = {}
    for _ in range(12):
        log.erase(list(held))
        held = churn(log, 40, chance)
        assert contents(log) == held
        log = log_on(image)
        assert contents(log) == held


def test_a_value_may_be_larger_than_a_block() -> None:
    image = fresh()
    value = random.Random(1).randbytes(2500)
    log_on(image).put("seal", value)
    assert log_on(image).get("seal") == value


def test_what_does_not_fit_is_refused_and_the_rest_stays() -> None:
    image = fresh()
    log = log_on(image)
    log.put("state", b"kept")
    with pytest.raises(MemoryFull):
        for number in range(100):
            log.put(f"item {number}", bytes(300))
    stored = contents(log)
    assert stored["state"] == b"kept"
    assert 15 < len(stored) < 25
    assert contents(log_on(image)) == stored
    log.erase([f"item {number}" for number in range(100)])
    log.put("another", bytes(3000))
    assert log.get("another") == bytes(3000)


def test_a_value_of_too_many_parts_is_refused() -> None:
    with pytest.raises(MemoryFull):
        log_on(fresh()).put("seal", bytes(60_000))


def test_blocks_wear_evenly_even_where_most_of_the_content_lies_still() -> None:
    image = fresh()
    log = log_on(image)
    for number in range(10):
        log.put(f"still {number}", bytes(300))
    for number in range(6000):
        log.put("busy", number.to_bytes(100, "big"))
    erases = [block.erases for block in survey_flash(image)]
    assert max(erases) - min(erases) <= 80
    assert max(erases) > 100


# --- old copies -----------------------------------------------------------------------------------------------


def copies(image: Image, value: bytes) -> int:
    return raw(image).count(value)


def test_replacing_and_erasing_leave_old_copies_and_a_scrub_none() -> None:
    image = fresh()
    log = log_on(image)
    old, new = b"an old key, 24 bytes ...", b"a new key, 24 bytes ...."
    log.put("key", old)
    log.put("key", new)
    log.put("kept", b"kept value")
    log.erase(["key"])
    assert (copies(image, old), copies(image, new)) == (1, 1)
    log.scrub()
    assert (copies(image, old), copies(image, new), copies(image, b"kept value")) == (0, 0, 1)
    assert contents(log) == contents(log_on(image)) == {"kept": b"kept value"}


def test_collecting_leaves_copies_in_spare_blocks() -> None:
    image = fresh()
    log = log_on(image)
    value = random.Random(2).randbytes(64)
    log.put("key", value)
    for _ in range(10_000):  # until the block that lies still is moved, for even wear
        if copies(image, value) == 2:
            break
        log.put("busy", bytes(200))
    holders = [block for block in survey_flash(image) if value in image.flash().read_block(block.block)]
    assert sorted(block.use.value for block in holders) == ["in use", "spare"]
    log.scrub()
    assert copies(image, value) == 1


def test_a_block_that_wears_out_is_retired_as_it_is_and_a_scrub_reaches_it() -> None:
    image = fresh(WEARING)
    log, chance = log_on(image), random.Random(4)
    held = {f"name {number}": chance.randbytes(40) for number in range(6)}
    for name, value in held.items():
        log.put(name, value)
    written = []
    for _ in range(500):
        if not any(block.use is Use.RETIRED and block.dead for block in survey_flash(image)):
            written.append(chance.randbytes(60))
            log.put("busy", written[-1])
    in_retired = [block.block for block in survey_flash(image) if block.use is Use.RETIRED]
    assert in_retired
    held["busy"] = written[-1]
    assert contents(log) == contents(log_on(image)) == held
    log.put("busy", b"")
    done = log.scrub()
    assert done.is_read_back
    assert done.blocks == WEARING.blocks
    assert done.stuck_bits > 0
    assert not any(value in raw(image) for value in written)
    held["busy"] = b""
    assert contents(log_on(image)) == held
    assert {block.block for block in survey_flash(image) if block.use is Use.RETIRED} >= set(in_retired)


def test_a_worn_flash_loses_nothing_until_it_is_full() -> None:
    image = fresh(WEARING)
    log, held, chance = log_on(image), dict[str, bytes](), random.Random(3)
    with pytest.raises(MemoryFull):
        for number in range(5000):
            name, value = f"name {number % 9}", chance.randbytes(40)
            log.put(name, value)
            held[name] = value
    found = contents(log_on(image))
    assert {name: found[name] for name in held} == held


def test_a_scrub_erases_every_block_once_and_reads_each_back() -> None:
    image = fresh()
    log = log_on(image)
    log.put("a", bytes(100))
    before = [block.erases for block in survey_flash(image)]
    done = log.scrub()
    assert [block.erases for block in survey_flash(image)] == [erases + 1 for erases in before]
    assert (done.blocks, done.stuck_bits, done.is_read_back) == (SHAPE.blocks, 0, True)


class DeafFlash(Flash):
    """A chip that takes the commands for one block and does nothing."""

    deaf_to_program = deaf_to_erase = -1

    def program(self, start: int, data: bytes) -> None:
        if start // self.shape.block_bytes != self.deaf_to_program or len(data) < self.shape.block_bytes:
            super().program(start, data)

    def erase(self, block: int) -> None:
        if block != self.deaf_to_erase:
            super().erase(block)


@pytest.mark.parametrize(("command", "failed"), [("deaf_to_program", (1, 0)), ("deaf_to_erase", (0, 1))])
def test_a_block_that_is_not_erased_is_seen_when_it_is_read_back(
    command: str, failed: tuple[int, int]
) -> None:
    image = fresh()
    flash = DeafFlash(image.cells["flash"], image.cells["wear"], SHAPE)
    log = FlashLog(flash)
    log.put("key", b"a key that stays")
    log.erase(["key"])
    setattr(flash, command, 0)
    done = log.scrub()
    assert (done.not_zero, done.not_blank) == failed
    assert not done.is_read_back


# --- power cuts -----------------------------------------------------------------------------------------------


def busy_life(log: FlashLog) -> Iterator[Mapping[str, bytes]]:
    """What must be there: yielded before the first change and after each."""
    chance, held = random.Random(7), dict[str, bytes]()
    yield dict(held)
    for number in range(48):
        name = f"name {number % 5}"
        if number % 7 == 6:
            log.erase([name])
            held.pop(name, None)
        else:
            held[name] = chance.randbytes(chance.choice([3, 90, 600]))
            log.put(name, held[name])
        yield dict(held)
    log.scrub()
    yield dict(held)


@pytest.mark.parametrize(("blocks", "endurance_erases"), [(12, 1000), (24, 0)], ids=["new", "wearing out"])
def test_a_cut_at_any_operation_leaves_each_value_as_before_or_after(
    blocks: int, endurance_erases: int
) -> None:
    allowed: list[Mapping[str, bytes]] = []
    cases = 0

    def left(_: int, __: object, image: Image) -> None:
        nonlocal cases
        cases += 1
        states.append((image, len(allowed)))

    states: list[tuple[Image, int]] = []
    image = fresh(FlashShape(blocks, 512, 128, endurance_erases))
    supply = EveryCut(image, left)
    for held in busy_life(log_on(image, supply)):
        supply.settle()
        allowed.append(held)
        for state, number in states:
            found = contents(log_on(state))
            assert found in (allowed[number - 1], allowed[number])
            assert contents(log_on(state)) == found
            chance = random.Random(number)
            log = log_on(state)
            log.put("after", chance.randbytes(400))
            assert contents(log_on(state)) == {**found, "after": log.get("after")}
            if endurance_erases > 0:  # what a cut left is no reason to give a good block up
                assert all(block.use is not Use.RETIRED for block in survey_flash(state))
        states.clear()
    retired = sum(block.use is Use.RETIRED for block in survey_flash(image))
    print(f"\n{supply.operations} operations, {cases} cuts, {retired} blocks retired meanwhile")
    assert (retired > 0) is (endurance_erases == 0)
    assert supply.operations > 200


def test_a_second_cut_while_the_boot_repairs_changes_nothing() -> None:
    """Of a replacement that was cut before the old value was marked dead: the boot itself has to write."""
    image = fresh()
    log = log_on(image)
    log.put("name", bytes(600))
    operations: list[Operation] = []

    def supply(operation: Operation) -> None:
        operations.append(operation)

    before = image.copy()
    log_on(before, supply).put("name", bytes(601))
    cut_at = len(operations) - 1  # both parts of the old value are marked dead last
    for outcome in CUTS:
        state = image.copy()
        with pytest.raises(PowerCut):
            log_on(state, CutAt(cut_at, outcome)).put("name", bytes(601))
        for again in CUTS:
            once_more = state.copy()
            with pytest.raises(PowerCut):
                log_on(once_more, CutAt(1, again))
            assert contents(log_on(once_more)) == {"name": bytes(601)}


# --- reading --------------------------------------------------------------------------------------------------


class CountingFlash(Flash):
    reads = 0

    def read(self, start: int, size_bytes: int) -> bytes:
        self.reads += 1
        return super().read(start, size_bytes)


def test_a_read_costs_the_same_however_many_dead_copies_there_are() -> None:
    image = fresh()
    flash = CountingFlash(image.cells["flash"], image.cells["wear"], SHAPE)
    log = FlashLog(flash)
    log.put("name", b"value")

    def cost() -> int:
        flash.reads = 0
        log.get("name")
        return flash.reads

    at_first = cost()
    for number in range(500):
        log.put("busy", number.to_bytes(50, "big"))
    assert cost() == at_first == 2


@pytest.mark.slow
def test_sixteen_mebibytes_with_twenty_thousand_records_in_ten_contexts_boot_in_one_pass() -> None:
    shape = FlashShape(4096, 4096)
    image = Image.new(Geometry(shape))
    log, chance = log_on(image), random.Random(1)
    filler = chance.randbytes(4096)
    for number in range(20_000):
        log.put(f"transaction/{number % 10}/{number:06d}", filler[number % 3000 :][:110])
        log.put(f"item/{number % 10}/{number:06d}", filler[number % 3000 :][:500])
    for number in range(0, 20_000, 4):
        log.put(f"item/{number % 10}/{number:06d}", filler[number % 2999 :][:500])
    flash = CountingFlash(image.cells["flash"], image.cells["wear"], shape)
    booted = FlashLog(flash)
    assert flash.reads < 2 * shape.blocks + 2
    assert len(list(booted.names())) == 40_000
    assert booted.get("item/4/000004") == filler[4:504]
    assert booted.get("item/5/000005") == filler[5:505]
