"""``posdecom-sim memory``: what lies in a terminal's memory, block by block; also while the terminal runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from ..memory.image import Image, ImageError
from ..memory.survey import BlockSurvey, ChipSurvey, Use, survey_chips, survey_flash
from ..terminal.slots import SLOT_PREFIX


@click.command(help="Show the memory of a terminal: blocks, live and dead copies, spare, retired, wear.")
@click.option(
    "--state",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The terminal's memory.",
)
@click.option("--json", "as_json", is_flag=True, help="Everything, for programs.")
def command(state: Path, as_json: bool) -> None:
    try:
        image = Image.inspect(state)
    except ImageError as error:
        raise click.ClickException(str(error)) from error
    blocks, chips = list(survey_flash(image)), list(survey_chips(image))
    if as_json:
        click.echo(json.dumps(_table(image, blocks, chips), indent=2))
    else:
        for line in _text(image, blocks, chips):
            click.echo(line)


def _text(image: Image, blocks: list[BlockSurvey], chips: list[ChipSurvey]) -> Iterator[str]:
    shape = image.geometry.flash
    yield f"{'flash':<16}{shape.size_bytes // 1024} KiB, {shape.blocks} blocks of {shape.block_bytes} bytes"
    for use in Use:
        some = [block for block in blocks if block.use is use]
        live, dead = _total(block.live for block in some), _total(block.dead for block in some)
        blank = sum(block.is_blank for block in some)
        copies = f"{live.total()} live and {dead.total()} dead copies"
        yield f"  {use.value:<14}{len(some)} blocks, {blank} blank: {copies}"
    erases = [block.erases for block in blocks]
    yield (
        f"  {'erases':<14}{min(erases)} to {max(erases)} per block, {sum(erases) / len(erases):.1f} on average; "
        f"endures {shape.endurance_erases}"
    )
    for chip in chips:
        latch = ", TAMPER LATCH SET" if chip.is_latched else ""
        sizes = f"{chip.size_bytes // 1024} KiB, {len(chip.names)} of {chip.slots} slots filled"
        yield f"{chip.region:<16}{sizes}{latch}"
    yield from _keys(blocks, chips)


def _keys(blocks: list[BlockSurvey], chips: list[ChipSurvey]) -> Iterator[str]:
    """Where copies of keys lie. Those in flash are wrapped, unless this terminal wraps none."""
    live, dead = _total(block.live for block in blocks), _total(block.dead for block in blocks)
    for name in sorted({*live, *dead}):
        if name.startswith(SLOT_PREFIX):
            yield f"{name:<28}flash: {live[name]} live, {dead[name]} dead"
    for chip in chips:
        yield from (f"{name:<28}{chip.region}" for name in chip.names)


def _table(image: Image, blocks: list[BlockSurvey], chips: list[ChipSurvey]) -> dict[str, Any]:
    return {
        "geometry": json.loads(image.geometry.json()),
        "flash": [
            {
                "block": block.block,
                "use": block.use.value,
                "blank": block.is_blank,
                "erases": block.erases,
                "live": dict(block.live),
                "dead": dict(block.dead),
            }
            for block in blocks
        ],
        **{
            chip.region: {"slots": chip.slots, "filled": list(chip.names), "tamper_latch": chip.is_latched}
            for chip in chips
        },
    }


def _total(counts: Iterable[Counter[str]]) -> Counter[str]:
    total = Counter[str]()
    for one in counts:
        total.update(one)
    return total
