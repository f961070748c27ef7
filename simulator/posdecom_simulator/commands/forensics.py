"""``posdecom-sim forensics``: is any key of a terminal still to be found? Exit code 0 no, 1 yes, 2 nothing proved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import click

from ..forensics.places import files_in, process_memory
from ..forensics.search import Find, Search
from ..forensics.secrets_file import RecordError, read_record


class _Void(click.ClickException):
    """The run proves nothing."""

    exit_code = 2


@click.command(
    help="Search a terminal's memory for every key that it ever held, in every form, spare blocks included. "
    "Exit code 0: nothing found; 1: finds are listed, never a key; 2: the run is void and proves nothing."
)
@click.option(
    "--state",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Its memory.",
)
@click.option(
    "--secrets",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What to look for: a file made by --record-secrets. Repeatable.",
)
@click.option(
    "--also",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Another file or folder to search: the agent's journal, logs. Repeatable.",
)
@click.option("--pid", type=int, help="Search the memory of this process too (Linux).")
@click.option(
    "--expect-live",
    is_flag=True,
    help="Positive control, before the erase: every slot that holds a key must be found in --state.",
)
@click.option(
    "--expect-dead-copy",
    is_flag=True,
    help="And a copy that an overwrite left: for a terminal of which a key in flash was replaced.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(
    state: Path,
    secrets: tuple[Path, ...],
    also: tuple[Path, ...],
    pid: int | None,
    expect_live: bool,
    expect_dead_copy: bool,
    as_json: bool,
) -> None:
    search = _search(secrets)
    places = _Places()
    finds = [find for name, data in places.seen(files_in(state)) for find in search.look(name, data)]
    missing = search.missing_live() if expect_live else []
    is_void = expect_dead_copy and not search.has_dead_copy()
    for name, data in places.seen(_elsewhere(also, pid)):
        finds += search.look(name, data)
    if as_json:
        click.echo(json.dumps(_report(search, places, finds, missing)))
    else:
        _print(search, places, finds)
    if missing or (expect_live and not search.live):
        raise _Void(f"void: not found where they must be: {', '.join(missing) or 'no live slot is recorded'}")
    if is_void:
        raise _Void("void: no dead copy was found, so nothing shows that the search would see one")
    if finds and not (expect_live or expect_dead_copy):
        raise SystemExit(1)


class _Places:
    """Counts what was searched."""

    def __init__(self) -> None:
        self.count = 0
        self.size_bytes = 0

    def seen(self, places: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        try:
            for name, data in places:
                self.count += 1
                self.size_bytes += len(data)
                yield name, data
        except OSError as error:
            raise _Void(
                f"void: {error.filename or 'a place'} cannot be searched: {error.strerror}"
            ) from error


def _search(secrets: tuple[Path, ...]) -> Search:
    try:
        search = Search(chain.from_iterable(map(read_record, secrets)))
    except RecordError as error:
        raise _Void(f"void: {error}") from error
    if not search.values:
        raise _Void("void: there is nothing to look for")
    return search


def _elsewhere(also: tuple[Path, ...], pid: int | None) -> Iterator[tuple[str, bytes]]:
    yield from chain.from_iterable(map(files_in, also))
    if pid is not None:
        yield from process_memory(pid)


def _report(search: Search, places: _Places, finds: list[Find], missing: list[str]) -> dict[str, object]:
    return {
        "values": search.values,
        "places": places.count,
        "bytes": places.size_bytes,
        "finds": [asdict(find) | {"form": find.form.value} for find in finds],
        "live_not_found": missing,
    }


def _print(search: Search, places: _Places, finds: list[Find]) -> None:
    for find in finds:
        where = f"{find.region} at {find.offset:#x}"
        click.echo(f"{find.slot}  {find.form.value}  {where}, {find.size_bytes} bytes")
    click.echo(
        f"{search.values} values, each in every form, in {places.count} places of {places.size_bytes} bytes: "
        f"{len(finds) or 'no'} {'find' if len(finds) == 1 else 'finds'}"
    )
