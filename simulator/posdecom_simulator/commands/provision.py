"""``posdecom-sim provision``: a demo site on disk."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ..forensics.record import note_nothing
from ..forensics.secrets_file import note_in
from ..provision import DIALECTS, provision


@click.command(
    help="Make a demo site in DIRECTORY: authorities, an acquirer, a technician, terminals. Never for real keys."
)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--terminals", default=1, show_default=True, type=click.IntRange(1, 1000), help="How many terminals."
)
@click.option("--seed", type=int, help="Make every key from this number, so that a run can be repeated.")
@click.option(
    "--dialect",
    "dialects",
    multiple=True,
    default=("cup",),
    show_default=True,
    type=click.Choice(DIALECTS),
    help="How batches are settled; given twice, the first context of a terminal has the first, the second the other.",
)
@click.option(
    "--record-secrets",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Append every secret of a terminal to this file, for forensics.",
)
@click.option(
    "--next-owner-of",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Another site: its terminals come to this one, with other keys and merchant accounts.",
)
def command(
    directory: Path,
    terminals: int,
    seed: int | None,
    dialects: tuple[str, ...],
    record_secrets: Path | None,
    next_owner_of: Path | None,
) -> None:
    note = note_nothing if record_secrets is None else note_in(record_secrets)
    now = time.time()
    site = provision(
        directory, terminals, seed, now=now, note=note, dialects=dialects, next_owner_of=next_owner_of
    )
    click.echo(f"technician   {site.technician}    the agent's --site")
    click.echo(f"acquirer     {site.acquirer}")
    click.echo(f"trust        {site.trust}    for posdecom verify --trust")
    click.echo(f"terminals    {directory / 'terminals'}")
