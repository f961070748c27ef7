"""Plants each bug of `bugs.py` in a copy of the tree and says which test notices it: ``python tests/planted/run.py``.

Arguments choose bugs by a part of their names. ``--suite PATH`` runs that instead of each bug's own. ``--table`` writes
the table into docs/testing.md. Exit code 1 where a bug goes unnoticed. The source here is never touched.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from planted.bugs import BUGS, Bug

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs/testing.md"
PACKAGES: Final = ("agent", "protocol", "simulator", "world")
TIMEOUT_S: Final = 100
BEGIN, END = "<!-- planted bugs -->\n", "<!-- end of planted bugs -->\n"


class Result(NamedTuple):
    bug: Bug
    noticed_by: str
    """A test; a few words where it is none; empty: nothing noticed."""
    seconds: float


def planted(tree: Path, bug: Bug) -> str:
    """The file of ``bug`` in ``tree`` as the bug has it; `ValueError` where its place is not there exactly once."""
    source = (tree / bug.file).read_text(encoding="utf-8")
    if source.count(bug.old) != 1:
        raise ValueError(f"{bug.file} has the place of {bug.name!r} {source.count(bug.old)} times")
    return source.replace(bug.old, bug.new)


def run(tree: Path, bug: Bug, suite: str) -> Result:
    """Plants ``bug`` in the copy, runs ``suite``, and takes it out again."""
    path = tree / bug.file
    before, times, begun = path.read_bytes(), path.stat(), time.monotonic()
    path.write_text(planted(tree, bug), encoding="utf-8")
    try:
        noticed_by = first_failure(tree, suite)
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # so that its bytecode counts again
    return Result(bug, noticed_by, time.monotonic() - begun)


def first_failure(tree: Path, suite: str) -> str:
    """The first test of ``suite`` that fails in ``tree``; empty where none does."""
    environment = dict(os.environ) | {
        "PYTHONPATH": os.pathsep.join(str(tree / package) for package in PACKAGES),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    # a bug is noticed by a fixed set of examples, or not: with other ones every time the table would not be repeatable
    options = ["-x", "-n0", "-q", "-p", "no:cacheprovider", "--tb=no", "--hypothesis-seed=0"]
    command = [sys.executable, "-m", "pytest", *options, suite]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{suite} does not end"
    if done.returncode == 0:
        return ""
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    if done.returncode == 1 and found:
        return found[1].partition("[")[0]
    raise RuntimeError(
        f"pytest {suite} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    )


def results(bugs: Sequence[Bug], suite: str | None) -> Iterator[Result]:
    """`RuntimeError` where a suite fails without any bug: it would notice everything."""
    sound = set[str]()
    with tempfile.TemporaryDirectory(prefix="posdecom-planted-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", ".hypothesis", "dist"))
        for bug in bugs:
            chosen = suite or bug.suite
            if chosen not in sound and (failed := first_failure(tree, chosen)):
                raise RuntimeError(f"{failed} fails without a bug")
            sound.add(chosen)
            yield run(tree, bug, chosen)


def write_table(found: Sequence[Result]) -> None:
    """Into the page: what was found now, and the rows that it has of other bugs."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    held, _, after = rest.partition(END)
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in held.splitlines()[2:]}
    rows |= {one.bug.name: _row(one) for one in found}
    lines = [rows[bug.name] for bug in BUGS if bug.name in rows]
    table = "\n".join(("| bug | in | noticed first by |", "|---|---|---|", *lines, ""))
    PAGE.write_text(before + BEGIN + table + END + after, encoding="utf-8")


def _row(one: Result) -> str:
    file, _, test = one.noticed_by.partition("::")
    words = test.rpartition("::")[2].removeprefix("test_").replace("_", " ")
    if file == one.bug.file:
        words = "its own example"
    noticed_by = f"`{file}`: {words}" if words else one.noticed_by or "**nothing**"
    return f"| {one.bug.name} | `{one.bug.file}` | {noticed_by} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; default: all bugs")
    parser.add_argument("--suite", help="run this instead of each bug's own suite")
    parser.add_argument("--table", action="store_true", help="write the table into docs/testing.md")
    arguments = parser.parse_args()
    bugs = [bug for bug in BUGS if not arguments.names or any(part in bug.name for part in arguments.names)]
    found = []
    for one in results(bugs, arguments.suite):
        found.append(one)
        print(f"{one.seconds:5.1f} s  {one.bug.name}: {one.noticed_by or 'NOT NOTICED'}", flush=True)
    unnoticed = sum(not one.noticed_by for one in found)
    print(f"{len(found) - unnoticed} of {len(found)} noticed")
    if arguments.table:
        write_table(found)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
