"""A terminal's ``--state`` for one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from ..memory.image import Image

LOCK_FILE: Final = "lock"


@contextmanager
def held_state(state: Path) -> Iterator[Image]:
    """The image in ``state``, for this process until it is done, ends or becomes another one; made if there is none.

    Two firmwares on one memory would each believe their own index of the flash. `click.ClickException` where another
    process has it. Looking (`Image.inspect`) and tampering need no lock: a real terminal is not asked either.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(state / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, state)
        yield Image.open(state)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, state: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise click.ClickException(
            f"another process runs a terminal on {state}; end it first, or give this one another --state"
        ) from None
