"""``posdecom-sim tamper``: open the case of a simulated terminal, whether it runs or not."""

from __future__ import annotations

from pathlib import Path

import click

from ..memory.image import Image, ImageError
from ..terminal.hardware import tamper


@click.command(
    help="Trip a terminal's tamper circuit: its battery-backed memory is gone at once, and its identity keys."
)
@click.option(
    "--state",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The terminal's memory.",
)
@click.option("--keep-identity", is_flag=True, help="The circuit does not reach the secure element.")
def command(state: Path, keep_identity: bool) -> None:
    try:
        Image.inspect(state)
        image = Image.open(state)
    except ImageError as error:
        raise click.ClickException(str(error)) from error
    tamper(image, reaches_identity=not keep_identity)
    click.echo("tampered; start the terminal again, as a real one would restart")
