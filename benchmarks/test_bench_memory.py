"""What dead copies cost a terminal with 20,000 records on 16 MiB of flash: nothing at boot, and nothing in a flush.

    pytest benchmarks/test_bench_memory.py -m long -n0 --benchmark-enable --benchmark-columns=min,median,rounds

Each group has the memory as first written, and the same after every value was written again, in an order of chance: a
dead copy for each, in blocks that wait for their turn to be erased.
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from posdecom_simulator.memory.flash import FlashShape
from posdecom_simulator.memory.flash_log import FlashLog
from posdecom_simulator.memory.image import Geometry, Image
from posdecom_simulator.memory.survey import survey_flash

RECORDS: Final = 20_000
ITEM_BYTES: Final = 330
"""As long as an advice."""
SHAPE: Final = FlashShape(blocks=4096, block_bytes=4096)
WRITTEN: Final = pytest.mark.parametrize("times", [1, 2], ids=["as first written", "all written twice"])

pytestmark = pytest.mark.long


@lru_cache(maxsize=2)
def image(times: int) -> Image:
    image, chance = Image.new(Geometry(SHAPE)), random.Random(1)
    log = FlashLog(image.flash())
    for _ in range(times):
        for number in chance.sample(range(RECORDS), RECORDS):
            log.put(name(number), chance.randbytes(ITEM_BYTES))
    return image


def name(number: int) -> str:
    return f"item/{number:05d}"


def test_the_second_image_has_as_many_dead_copies_as_fit_between_two_collections() -> None:
    dead = {times: sum(len(block.dead) for block in survey_flash(image(times))) for times in (1, 2)}
    print(f"\n  dead copies: {dead[1]} as first written, {dead[2]} after all was written twice")
    assert dead[1] == 0
    assert dead[2] > RECORDS // 2


@pytest.mark.benchmark(group=f"boot with {RECORDS} records")
@WRITTEN
def test_boot(benchmark: BenchmarkFixture, times: int) -> None:
    cells = image(times)
    log = benchmark(lambda: FlashLog(cells.flash()))
    assert len(list(log.names())) == RECORDS


@pytest.mark.benchmark(group=f"reading {RECORDS} records")
@WRITTEN
def test_flush(benchmark: BenchmarkFixture, times: int) -> None:
    log = FlashLog(image(times).flash())

    def read() -> int:
        return sum(len(log.get(name(number)) or b"") for number in range(RECORDS))

    assert benchmark(read) == RECORDS * ITEM_BYTES
