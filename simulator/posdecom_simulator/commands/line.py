"""``posdecom-sim line``: a serial line, good or bad, between two pseudo-terminals."""

from __future__ import annotations

import random
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..cable import BITS_PER_BYTE, Cable, Direction, Socket
from ..world.line import Noise, Wire

DATA_BITS = 8
LINK = click.Path(path_type=Path)
SHARE = click.FloatRange(0, 1)
MILLISECONDS = click.FloatRange(0)


def _outages(_: click.Context, option: click.Parameter, values: Sequence[str]) -> list[tuple[float, float]]:
    """FROM:TO in seconds since the first byte."""
    outages = [_pair(value, option) for value in values]
    if not all(0 <= start < end for start, end in outages):
        raise click.BadParameter("an outage has no length")
    return outages


def _burst(_: click.Context, option: click.Parameter, value: str) -> tuple[float, int]:
    """P:BYTES."""
    chance, count = _pair(value, option)
    if not 0 <= chance <= 1 or count < 1:
        raise click.BadParameter("it is no chance and length")
    return chance, int(count)


def _pair(value: str, option: click.Parameter) -> tuple[float, float]:
    first, _, second = value.partition(":")
    try:
        return float(first), float(second)
    except ValueError as error:
        raise click.BadParameter(f"{value} is not {option.metavar}") from error


@dataclass(frozen=True, slots=True)
class Quality:
    """What the line does to bytes, as it is typed."""

    latency: float
    usb_latency_timer: float
    ber: float
    drop: float
    burst: tuple[float, int]
    outage: Sequence[tuple[float, float]]
    seed: int

    def wire(self, baud: int, direction: str) -> Wire:
        noise = Noise(
            flip=1 - (1 - self.ber) ** DATA_BITS,
            drop=self.drop,
            burst=self.burst[0],
            burst_bytes=self.burst[1],
        )
        return Wire(
            baud / BITS_PER_BYTE,
            noise,
            random.Random(f"{self.seed} {direction}"),
            latency_s=self.latency / 1000,
            latency_timer_s=self.usb_latency_timer / 1000,
            cuts=list(self.outage),
        )


@click.command(
    help="""Join two pseudo-terminals by a serial line, so that a client and a terminal can be tried on a bad cable.

    Each end is a symbolic link (--left, --right), or a command that has the line as standard input and output
    (--left-run, --right-run). Bytes leave at the speed that their sender has set on his end, --baud before anybody has
    set one, and arrive garbled where the other end has set another. Runs until both commands have ended, or until it
    is ended; then says what struck."""
)
@click.option("--left", type=LINK, help="Name of the left end.")
@click.option("--right", type=LINK, help="Name of the right end.")
@click.option("--left-run", help="Command on the left end.")
@click.option("--right-run", help="Command on the right end.")
@click.option(
    "--baud",
    default=115_200,
    show_default=True,
    type=click.IntRange(50, 4_000_000),
    help="Speed of both ends at first.",
)
@click.option("--baud-max", type=click.IntRange(50), help="Faster than this the cable garbles.")
@click.option(
    "--latency", default=1.0, show_default=True, type=MILLISECONDS, help="One way, in milliseconds."
)
@click.option(
    "--usb-latency-timer",
    default=0.0,
    show_default=True,
    type=MILLISECONDS,
    help="An adapter hands over 62 bytes, or what there is after so many milliseconds (FTDI: 16).",
)
@click.option("--ber", default=0.0, type=SHARE, help="Bit error rate.")
@click.option("--drop", default=0.0, type=SHARE, help="Chance a byte that it is lost.")
@click.option(
    "--burst", default="0:1", metavar="P:BYTES", callback=_burst, help="Chance a byte that so many are noise."
)
@click.option(
    "--outage",
    multiple=True,
    metavar="FROM:TO",
    callback=_outages,
    help="Nothing arrives; seconds since the first byte.",
)
@click.option("--seed", default=1, show_default=True, type=int, help="Of all chance.")
def command(
    left: Path | None,
    right: Path | None,
    left_run: str | None,
    right_run: str | None,
    baud: int,
    baud_max: int | None,
    **quality: Any,
) -> None:
    made = Quality(**quality)
    for side, link, run in (("left", left, left_run), ("right", right, right_run)):
        if (link is None) == (run is None):
            raise click.UsageError(f"say what the {side} end is: one of --{side}, --{side}-run")
    sockets = Socket(baud), Socket(baud)
    cable = Cable(
        Direction(sockets[0], sockets[1], made.wire(baud, "rightward"), baud_max),
        Direction(sockets[1], sockets[0], made.wire(baud, "leftward"), baud_max),
    )
    try:
        with _ended_by_signal() as is_ended:
            processes = [
                one
                for one in (_begin(sockets[0], left, left_run), _begin(sockets[1], right, right_run))
                if one is not None
            ]
            click.echo(f"left {left or sockets[0].device}\nright {right or sockets[1].device}")
            cable.run(lambda: is_ended() or _have_ended(processes))
        click.get_current_context().exit(_end(processes))
    finally:
        for socket in sockets:
            socket.close()
        for name, direction in (("left to right", cable.rightward), ("right to left", cable.leftward)):
            click.echo(_account(name, direction), err=True)


def _begin(socket: Socket, link: Path | None, run: str | None) -> subprocess.Popen[bytes] | None:
    if link is not None:
        socket.link(link.absolute())
        return None
    return subprocess.Popen(shlex.split(run or ""), stdin=socket.fileno(), stdout=socket.fileno())


def _have_ended(processes: Sequence[subprocess.Popen[bytes]]) -> bool:
    return bool(processes) and all(process.poll() is not None for process in processes)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> int:
    """The first exit code that is not 0; whatever still runs is ended."""
    for process in processes:
        process.terminate()
    return next((code for process in processes if (code := process.wait())), 0)


@contextmanager
def _ended_by_signal() -> Iterator[Callable[[], bool]]:
    seen: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _: seen.append(got))
    yield lambda: bool(seen)


def _account(name: str, direction: Direction) -> str:
    struck = [f"{count} x {kind}" for kind, count in sorted(direction.wire.fired.items())]
    lost = [f"{direction.overrun_bytes} bytes not read in time"] if direction.overrun_bytes else []
    return f"{name}: {', '.join([f'{direction.wire.carried_bytes} bytes', *struck, *lost])}"
