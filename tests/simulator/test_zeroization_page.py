"""docs/zeroization.md says what the code has: slots, forms, exit codes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from posdecom_simulator.forensics.forms import Form
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.key_loading import BLOCK_VERSION
from posdecom_simulator.terminal.slots import Slot

PAGE: Final = (Path(__file__).parents[2] / "docs" / "zeroization.md").read_text(encoding="utf-8")


def loaded(slot: Slot) -> str:
    if slot.protected_by is not None:
        return f"key block {BLOCK_VERSION[slot.protected_by].value} under {slot.protected_by}"
    if slot is slots.WRAP:
        return "made by the memory itself"
    return "in the clear, initial key not kept" if slot.usage == "B1" else "in the clear"


def test_the_table_of_slots_is_that_of_the_code_in_the_order_of_the_erase() -> None:
    rows = [
        f"| {slot.name} | {slot.usage} | {slot.algorithm} | {slot.mode} | {loaded(slot)} | {slot.kcv_method.name} |"
        for slot in (*slots.ERASE_ORDER, slots.WRAP, *slots.IDENTITY)
    ]
    header = "| slot | usage | algorithm | mode | loaded | check value |\n|---|---|---|---|---|---|\n"
    table = PAGE.split(header)[1].split("\n\n")[0]
    assert table.splitlines() == rows


def test_every_form_that_is_searched_for_is_named_and_no_other() -> None:
    table = PAGE.split("| form | what it covers |\n|---|---|\n")[1].split("\n\n")[0]
    assert re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) == [form.value for form in Form]


def test_the_tests_that_it_points_to_exist() -> None:
    folder = Path(__file__).parents[1]
    for name in re.findall(r"`(?:tests/)?((?:simulator/|whole/)?test_\w+\.py)`", PAGE):
        assert (folder / name).exists() or (folder / "simulator" / name).exists(), name
