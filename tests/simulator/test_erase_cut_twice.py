"""The power fails during the erase, and again while the erase is finished: all pairs, on a terminal of 32 blocks."""

from __future__ import annotations

from functools import lru_cache

import pytest

from chips import SURVIVORS, Chips, erasing, small, trading
from memory_line import Demo
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_simulator.memory.image import Image
from posdecom_simulator.terminal import slots
from power import EveryCut
from recoveries import Recoveries, spread_wear, units_of


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("demo") / "site")


class Judge:
    """Boots what two cuts left, and looks at what is there then."""

    def __init__(self, chips: Chips) -> None:
        self._chips = chips
        self._kept = self._proofs(chips)
        reference = chips.on(chips.image.copy())
        reference.boot()
        self._evidence = reference.store().get(slots.EVIDENCE)
        assert self._evidence is not None
        self.names_in = lru_cache(maxsize=None)(
            lambda content: frozenset(chips.secrets.found_in({"": content}))
        )

    def finish(self, image: Image) -> None:
        chips = self._chips.on(image)
        assert chips.boot().life.state is LifecycleState.RETIRED
        assert not any(self.names_in(content) for _, _, content in units_of(image))
        store = chips.store()
        assert self._proofs(chips) == self._kept
        assert store.get(slots.EVIDENCE) == self._evidence

    def holds_erased_secret(self, content: bytes) -> bool:
        """The identity keys are there until after the evidence, which they sign."""
        return any("IDENTITY" not in name for name in self.names_in(content))

    def _proofs(self, chips: Chips) -> dict[str, bytes | None]:
        store = chips.store()
        return {name: store.get(name) for name in SURVIVORS}


@pytest.mark.parametrize("every", [250, pytest.param(1, marks=pytest.mark.long)])
def test_two_cuts_wherever_they_are_lose_no_proof_and_leave_no_secret(every: int, demo: Demo) -> None:
    chips = erasing(trading(demo, small(32), busy=12), demo)
    spread_wear(chips.image)
    judge = Judge(chips)
    recoveries = Recoveries(chips.image, judge.finish, judge.holds_erased_secret, slots.EVIDENCE.encode())
    left: list[Image] = []
    first = chips.on(chips.image.copy())
    supply = EveryCut(first.image, lambda _, __, image: left.append(image))
    first.boot(supply)
    supply.settle()
    for image in left[::every]:
        recoveries.cut_everywhere(image, lambda image, supply: chips.on(image).boot(supply))
    print(
        f"\n32 blocks: {supply.operations} operations, {len(left)} states after one cut; of {len(left[::every])}:"
        f" {recoveries.cases} pairs, {recoveries.booted} booted, {recoveries.checked} of them to check the others"
    )
    assert recoveries.cases > len(left[::every]) * supply.operations * 2
    assert recoveries.checked >= recoveries.cases // 1500
