"""On a tree small enough to walk whole: six bits, at most three of them set."""

from __future__ import annotations

from typing import Final

import pytest

from posdecom_protocol.dukpt_tree import Ancestors, CounterShape, KeyRegisters
from posdecom_protocol.errors import ExhaustedError, KeyMaterialError, LocalError
from posdecom_protocol.secret import Secret

SMALL: Final = CounterShape(bits=6, ones_max=3)
LEGAL: Final = [counter for counter in range(1, 64) if counter.bit_count() <= 3]


def key_of(counter: int) -> Secret:
    """A stand-in that tells which counter it belongs to."""
    return Secret(bytes([counter, counter]))


def fresh() -> KeyRegisters:
    registers = KeyRegisters(SMALL, key_bytes=2)
    registers.start(key_of)
    return registers


def image_of(registers: KeyRegisters) -> bytearray:
    image = bytearray(registers.size_bytes)
    registers.write(memoryview(image))
    return image


def test_the_last_counter_of_both_standards_has_its_ones_at_the_top() -> None:
    assert CounterShape(32, 16).last == 0xFFFF0000
    assert CounterShape(21, 10).last == 0x1FF800
    assert SMALL.last == LEGAL[-1]


@pytest.mark.parametrize("counter", [-1, 0, *range(1, 64), 64, 1 << 40])
def test_legal_counters_are_those_with_few_enough_ones(counter: int) -> None:
    if counter in LEGAL:
        SMALL.check(counter)
    else:
        with pytest.raises(KeyMaterialError, match="no terminal reaches"):
            SMALL.check(counter)


def test_a_terminal_lives_through_every_legal_counter_once_and_in_order() -> None:
    registers, lived = fresh(), []
    while registers.next_counter is not None:
        counter, key = registers.take()
        assert key == key_of(counter)
        registers.refill(counter, key_of)
        lived.append(counter)
    assert lived == LEGAL
    with pytest.raises(ExhaustedError, match="no counter is left"):
        registers.take()


def test_the_registers_are_rebuilt_from_their_image_before_every_counter() -> None:
    registers = fresh()
    for expected in LEGAL:
        rebuilt = KeyRegisters(SMALL, key_bytes=2)
        rebuilt.read(memoryview(image_of(registers)), registers.next_counter or 0)
        assert image_of(rebuilt) == image_of(registers)
        registers = rebuilt
        counter, _ = registers.take()
        assert counter == expected
        registers.refill(counter, key_of)
    assert image_of(registers) == bytes(12)


def test_the_image_holds_only_keys_of_counters_to_come_each_at_its_lowest_bit() -> None:
    registers = fresh()
    for counter in LEGAL:
        image = image_of(registers)
        held = {bit: image[2 * bit] for bit in range(6) if image[2 * bit]}
        assert all(key >= counter and key & -key == 1 << bit for bit, key in held.items())
        assert sorted(held.values()) == sorted(SMALL.held(counter))
        taken, _ = registers.take()
        registers.refill(taken, key_of)


def test_wiping_overwrites_the_keys_and_leaves_none() -> None:
    keys = {1 << bit: key_of(1 << bit) for bit in range(6)}
    registers = KeyRegisters(SMALL, key_bytes=2)
    registers.start(keys.__getitem__)
    registers.wipe()
    assert registers.next_counter is None
    assert [len(key) for key in keys.values()] == [0] * 6


def test_a_sequence_costs_one_child_a_counter() -> None:
    """The reason for keeping the way: without it each counter costs as many as it has one bits."""
    made: list[int] = []

    def child(parent: str, counter: int) -> str:
        made.append(counter)
        return f"{parent}>{counter}"

    ancestors = Ancestors("root", child)
    for counter in LEGAL:
        node = ancestors.reach(counter)
        path = [int(step) for step in node.split(">")[1:]]
        assert path[-1] == counter
        assert all(step & step - 1 == before for before, step in zip([0, *path], path, strict=False))
    assert made == LEGAL


def test_a_counter_asked_for_again_costs_nothing() -> None:
    made: list[int] = []

    def child(_: int, counter: int) -> int:
        made.append(counter)
        return counter

    ancestors = Ancestors(0, child)
    assert [ancestors.reach(7) for _ in range(3)] == [7, 7, 7]
    assert made == [4, 6, 7]


def test_a_wiped_way_leads_nowhere() -> None:
    ancestors = Ancestors(0, lambda _, counter: counter)
    ancestors.wipe()
    with pytest.raises(LocalError, match="wiped"):
        ancestors.reach(1)
