"""``posdecom-sim terminal``: one simulated terminal as a process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from ..forensics.record import Note, note_nothing
from ..forensics.secrets_file import note_in
from ..history import write_history
from ..population import TRADING_S, populate
from ..site import SiteTerminal
from ..terminal.faces import BAUD_DEFAULT, Face, PtyFace, SerialFace, TcpFace
from ..terminal.freeze import transactions as transactions_of
from ..terminal.hardware import HardwareStore
from ..terminal.personalise import is_personalised, personalise
from ..terminal.process_memory import protect
from ..terminal.recording import RecordingStore
from ..terminal.serve import serve
from ..terminal.store import Store
from .state import held_state


@click.command(
    help="Run a terminal. Its memory is in --state; kill it at any moment and start it again: it continues."
)
@click.option(
    "--site", required=True, type=click.Path(path_type=Path, exists=True, file_okay=False), help="Demo site."
)
@click.option("--serial", required=True, help="Which of the site's terminals.")
@click.option(
    "--state", required=True, type=click.Path(path_type=Path, file_okay=False), help="The terminal's memory."
)
@click.option("--pty", is_flag=True, help="Answer on a pseudo-terminal.")
@click.option(
    "--link", type=click.Path(path_type=Path), help="Name of the pseudo-terminal (default: STATE/tty)."
)
@click.option("--port", "port_url", help="Answer on a serial port or pyserial URL.")
@click.option(
    "--baud", default=BAUD_DEFAULT, show_default=True, type=click.IntRange(50), help="Speed of --port."
)
@click.option(
    "--baud-max",
    default=3_000_000,
    show_default=True,
    type=click.IntRange(50),
    help="How fast --port can be made.",
)
@click.option("--tcp", help="Answer on HOST:PORT.")
@click.option(
    "--transactions", default=200, show_default=True, type=click.IntRange(0), help="At the first start."
)
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
    pty: bool,
    link: Path | None,
    port_url: str | None,
    baud: int,
    baud_max: int,
    tcp: str | None,
    transactions: int,
    seed: int,
    record_secrets: Path | None,
) -> None:
    if [pty, port_url is not None, tcp is not None].count(True) != 1:
        raise click.UsageError("say where to answer: one of --pty, --port, --tcp")
    protect()
    note = note_nothing if record_secrets is None else note_in(record_secrets)
    with held_state(state) as image:
        store = RecordingStore(HardwareStore(image), note)
        if not is_personalised(store):
            first_day(store, site, serial, Day(transactions, seed), note)
        serve(
            store,
            _face(state, link, port_url, baud, tcp),
            lambda name: click.echo(f"terminal {serial} answers on {name}"),
            baud_max=baud_max,
        )


@dataclass(frozen=True, slots=True)
class Day:
    transactions: int
    seed: int


def first_day(
    store: Store, site: Path, serial: str, day: Day, note: Note, *, bind: bytes | None = None
) -> None:
    """A day of trade that ended an hour ago; what the acquirer saw of it goes into the acquirer's folder."""
    terminal = SiteTerminal.load(site / "terminals" / serial)
    opened_at = int(time.time()) - TRADING_S - 3600
    population = populate(day.seed, day.transactions, terminal.settings.contexts, opened_at)
    personalise(store, terminal, population, note, bind=bind)
    folder = site / "acquirer" / "history"
    folder.mkdir(mode=0o700, exist_ok=True)
    lines = write_history(terminal.settings.contexts, transactions_of(store))
    temporary = folder / f".{serial}"
    temporary.write_text("".join(lines), encoding="ascii")
    temporary.replace(folder / f"{serial}.jsonl")


def _face(
    state: Path, link: Path | None, port_url: str | None, baud: int, tcp: str | None
) -> Callable[[], Face]:
    if tcp is not None:
        host, _, port = tcp.rpartition(":")
        return lambda: TcpFace(host, int(port))
    if port_url is not None:
        return lambda: SerialFace(port_url, baud)
    name = link or state / "tty"
    return lambda: PtyFace(Path(os.path.abspath(name)))  # noqa: PTH100 (resolve would follow the old link)
