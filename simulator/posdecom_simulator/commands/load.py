"""``posdecom-sim load``: the key injection room, for a terminal that an erase left blank."""

from __future__ import annotations

from pathlib import Path

import click

from ..forensics.record import note_nothing
from ..forensics.secrets_file import note_in
from ..terminal.hardware import HardwareStore
from ..terminal.personalise import is_personalised
from ..terminal.process_memory import protect
from ..terminal.recording import RecordingStore
from .state import held_state
from .terminal import Day, first_day


@click.command(
    help="Load a BLANK terminal, which does not run meanwhile, with its next owner's keys and a day of trade. It takes"
    " them with a bind that its maker signed for this very erase, and from nobody else."
)
@click.option(
    "--site",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The next owner's site.",
)
@click.option("--serial", required=True, help="Which of the site's terminals.")
@click.option(
    "--state",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The terminal's memory.",
)
@click.option(
    "--bind",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The bind, of posdecom-sim bind.",
)
@click.option("--transactions", default=200, show_default=True, type=click.IntRange(0), help="Of the day.")
@click.option("--seed", default=1, show_default=True, type=int, help="Of the transactions.")
@click.option(
    "--record-secrets",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Append every secret to this file, for forensics. It is never read.",
)
def command(
    site: Path,
    serial: str,
    state: Path,
    bind: Path,
    transactions: int,
    seed: int,
    record_secrets: Path | None,
) -> None:
    protect()
    note = note_nothing if record_secrets is None else note_in(record_secrets)
    with held_state(state) as image:
        store = RecordingStore(HardwareStore(image), note)
        if not is_personalised(store):
            raise click.ClickException(
                f"{state} holds a terminal from the factory: start it, it needs no bind"
            )
        first_day(store, site, serial, Day(transactions, seed), note, bind=bind.read_bytes())
    click.echo(f"terminal {serial} is in service again")
