from __future__ import annotations

import random

import pytest

from posdecom_protocol.errors import LocalError
from posdecom_simulator.memory.flash import WORN_CELLS_MAX, Flash, FlashShape, worn_cells
from posdecom_simulator.memory.supply import Action, Operation, Outcome, PowerCut, Supply, left_behind, steady

SHAPE = FlashShape(blocks=8, block_bytes=512, page_bytes=128, endurance_erases=3)


def chip(supply: Supply = steady) -> Flash:
    return Flash(bytearray(b"\xff" * SHAPE.size_bytes), bytearray(4 * SHAPE.blocks), SHAPE, supply)


def test_programming_clears_bits_and_sets_none() -> None:
    flash = chip()
    flash.program(5, b"\xf0\x0f")
    flash.program(5, b"\xcc\xff")
    assert flash.read(4, 4) == b"\xff\xc0\x0f\xff"


def test_an_erase_sets_every_bit_of_one_block_and_of_no_other() -> None:
    flash = chip()
    flash.program(0, bytes(SHAPE.size_bytes))
    flash.erase(2)
    assert flash.read_block(2) == b"\xff" * 512
    assert flash.read(0, 1024) == bytes(1024)
    assert flash.read(1536, 2560) == bytes(2560)


def test_each_block_counts_its_erases() -> None:
    flash = chip()
    flash.erase(1)
    flash.erase(1)
    assert [flash.erases(block) for block in range(4)] == [0, 2, 0, 0]


def test_a_program_is_one_operation_for_each_page() -> None:
    seen: list[Operation] = []

    def supply(operation: Operation) -> None:
        seen.append(operation)

    flash = chip(supply)
    flash.program(100, bytes(200))
    flash.erase(7)
    assert seen == [
        Operation("flash", Action.PROGRAM, 100, 28),
        Operation("flash", Action.PROGRAM, 128, 128),
        Operation("flash", Action.PROGRAM, 256, 44),
        Operation("flash", Action.ERASE, 3584, 512),
    ]


def test_a_cut_ends_at_the_page_where_it_comes() -> None:
    outcomes = iter([None, Outcome.TORN_FIRST_HALF])
    flash = chip(lambda _: next(outcomes))
    with pytest.raises(PowerCut):
        flash.program(0, bytes(384))
    assert flash.read(0, 512) == bytes(192) + b"\xff" * 320


@pytest.mark.parametrize(
    ("outcome", "left"),
    [
        (Outcome.COMPLETE, "00000000"),
        (Outcome.NOTHING, "ffff0f0f"),
        (Outcome.TORN_FIRST_HALF, "00000f0f"),
        (Outcome.TORN_SECOND_HALF, "ffff0000"),
        (Outcome.TORN_BITS, "55550505"),
    ],
)
def test_a_cut_leaves_a_mixture_of_before_and_after(outcome: Outcome, left: str) -> None:
    assert left_behind(outcome, bytes.fromhex("ffff0f0f"), bytes(4)).hex() == left


def test_a_torn_erase_still_wears_the_block() -> None:
    flash = chip(lambda operation: Outcome.TORN_BITS if operation.action is Action.ERASE else None)
    flash.program(0, bytes(512))
    with pytest.raises(PowerCut):
        flash.erase(0)
    assert flash.read_block(0) == b"\xaa" * 512
    assert flash.erases(0) == 1


def test_a_worn_cell_keeps_through_an_erase_what_it_holds_and_still_takes_a_zero() -> None:
    flash = chip()
    for _ in range(SHAPE.endurance_erases):
        flash.erase(0)
    secret = random.Random(1).randbytes(512)
    flash.program(0, secret)
    flash.erase(0)
    ((place, bit),) = worn_cells(SHAPE, 0, 4)
    expected = bytearray(b"\xff" * 512)
    expected[place] &= secret[place] | ~bit & 0xFF
    assert flash.read_block(0) == bytes(expected)
    flash.program(0, bytes(512))
    flash.erase(0)
    zero_bits = 8 * 512 - int.from_bytes(flash.read_block(0), "big").bit_count()
    assert zero_bits == len(set(worn_cells(SHAPE, 0, 5))) == 2


def test_a_block_gets_one_worn_cell_after_the_other_up_to_a_few() -> None:
    counts = [len(worn_cells(SHAPE, 3, erases)) for erases in range(20)]
    assert counts == [0, 0, 0, 0, *range(1, WORN_CELLS_MAX + 1), *[WORN_CELLS_MAX] * 8]
    assert worn_cells(SHAPE, 3, 9)[:2] == worn_cells(SHAPE, 3, 5)
    assert worn_cells(SHAPE, 3, 9) != worn_cells(SHAPE, 4, 9)


@pytest.mark.parametrize(
    "shape",
    [{"blocks": 7}, {"block_bytes": 128}, {"block_bytes": 65536}, {"page_bytes": 8}, {"page_bytes": 300}],
)
def test_a_shape_in_which_nothing_fits_is_refused(shape: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"flash of|pages of"):
        FlashShape(**shape)


def test_cells_that_do_not_fit_the_shape_are_refused() -> None:
    with pytest.raises(LocalError):
        Flash(bytearray(100), bytearray(4 * SHAPE.blocks), SHAPE)
