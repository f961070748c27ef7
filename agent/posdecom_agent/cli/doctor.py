"""``posdecom doctor``: what stands between this machine and a terminal, and the line to type. Changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from .. import doctor
from ..doctor import Check, Machine, Standing
from ..ports import candidates
from ..wording import N_, _
from .columns import padded
from .output import Output, output_options, pass_output
from .work import FOLDER

_MARKS: Final = {Standing.GOOD: "  ok  ", Standing.NOTE: "  --  ", Standing.BAD: "  !!  "}
NAME_COLUMNS: Final = 10


@click.command(
    help=N_("""Look for what keeps this machine from a terminal: rights, other programs, cable, disk, clock.

    Opens no port. Exits with the code of the first thing that stands in the way, 0 if nothing does.""")
)
@click.option("--journal", "folder", type=FOLDER, default=Path(), help=N_("Where jobs are going to be kept."))
@click.option(
    "--udev", is_flag=True, help=N_("Print the udev rules for known adapters, and do nothing else.")
)
@output_options
@pass_output
def command(output: Output, folder: Path, udev: bool) -> int:
    if udev:
        rules = "\n".join(doctor.udev_rules())
        output.result("udev", {"rules": rules, "file": doctor.RULE_FILE}, rules)
        return 0
    machine = Machine(candidates(), folder, time.time(), versions=doctor.versions())
    checks = list(doctor.examine(machine))
    output.result("doctor", {"checks": [_document(check) for check in checks]}, "\n".join(_lines(checks)))
    return doctor.exit_of(checks)


def _lines(checks: Sequence[Check]) -> Iterator[str]:
    for check in checks:
        yield f"{_MARKS[check.standing]}{padded(_(check.name), NAME_COLUMNS)}{_(check.text)}"
        if check.remedy:
            yield " " * (6 + NAME_COLUMNS) + _("try: {actions}", actions=_(check.remedy))


def _document(check: Check) -> dict[str, object]:
    return {
        "name": str(check.name),
        "standing": check.standing.value,
        "text": _(check.text),
        "remedy": _(check.remedy),
    }
