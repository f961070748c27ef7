"""A hundred terminals live and are retired: each key was there (positive control), and nothing of any is left.

Half of them have no battery-backed memory and no secure element: all their keys lie in flash, where every state of a
key set that was ever stored leaves copies in dead entries and spare blocks.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import pytest

from posdecom_protocol.documents.order import Mode
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_simulator.forensics.search import Find, Search
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.hardware import Place, place_of
from terminal_life import Estate, TerminalLife

LIVES: Final = 100
GROUPS: Final = 20
"""So that they can run side by side."""
STEPS_MAX: Final = 12
IDENTITY: Final = {slot.name for slot in slots.IDENTITY}
"""Kept by redeploy and repair, and then found."""


def all_in_flash(_: str) -> Place:
    return Place.FLASH


def live(life: TerminalLife, chance: random.Random) -> None:
    """Trade, frozen and thawed, new keys, power lost, in any order."""
    steps: dict[Callable[[], None], int] = {
        life.use_keys: 6,
        life.reload_session_keys: 2,
        life.reload_master_keys: 1,
        life.switch_on: 2,
        life.freeze_and_thaw: 1,
    }
    for step in chance.choices(list(steps), list(steps.values()), k=chance.randint(3, STEPS_MAX)):
        step()


def look(life: TerminalLife, search: Search) -> list[Find]:
    return [find for name, data in life.regions() for find in search.look(name, data)]


@pytest.mark.parametrize(
    "group", [0, *(pytest.param(group, marks=pytest.mark.long) for group in range(1, GROUPS))]
)
def test_of_a_hundred_lives_no_key_is_left(
    group: int, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    estate = Estate(tmp_path_factory.mktemp("estate") / "site", terminals=LIVES // GROUPS, seed=group)
    lives = values = finds_before = dead_copies = 0
    for number in range(1, LIVES // GROUPS + 1):
        chance = random.Random(f"life {group} {number}")
        mode = chance.choice(list(Mode))
        life = estate.life(number, chance.choice([place_of, all_in_flash]))
        live(life, chance)
        life.freeze(mode)
        search = Search(life.entries)
        before = look(life, search)
        assert search.missing_live() == [], f"life {group} {number}: the control fails, the run is void"
        dead_copies += search.has_dead_copy()
        life.erase()
        assert life.state is (LifecycleState.RETIRED if mode is Mode.RETIRE else LifecycleState.BLANK)
        left = {find.slot for find in look(life, search)}
        assert left == (set() if mode is Mode.RETIRE else IDENTITY), f"life {group} {number}, {mode.name}"
        lives, values, finds_before = lives + 1, values + search.values, finds_before + len(before)
    assert dead_copies, "nothing shows that the search sees what an overwrite leaves"
    with capsys.disabled():
        found = f"found {finds_before} times before and 0 after"
        print(f"\n  {lives} lives, {dead_copies} with dead copies, {values} key values, {found}")


def test_forgetting_every_name_leaves_keys_that_the_same_search_finds(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The search is no rubber stamp: this is what erasing through a file system does to flash."""
    life = Estate(tmp_path_factory.mktemp("estate") / "site").life(1, all_in_flash)
    life.use_keys()
    life.store.erase(list(life.store.names()))
    finds = look(life, Search(life.entries))
    assert {find.slot for find in finds} >= {"DUKPT", "TAK", "TMK", "IDENTITY-ATTESTATION"}
