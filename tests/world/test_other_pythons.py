"""The same seeds give the same traces under every other Python that this machine has, with another hash seed each.

Looked for: ``~/.pyenv/versions`` and ``python3.X`` on the path. Each gets an environment of its own with the project in
it, from the package index.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSIONS = ["3.11", "3.12", "3.13", "3.14"]
"""Those of the classifiers in pyproject.toml, and the next one."""

SCRIPT = """
import json, sys
from posdecom_world.run import records_of, run
runs = [("A", seed) for seed in range(30)] + [("B", seed) for seed in range(5)]
json.dump({f"{tier} {seed}": run(seed, records_of(seed), tier).trace for tier, seed in runs}, sys.stdout)
"""
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
INSTALL_S_MAX = 300
NO_INDEX = re.compile(
    r"No matching distribution|Could not find a version|[Ff]ailed to fetch|[Cc]onnect|resolv"
)


@pytest.mark.long
@pytest.mark.parametrize("version", VERSIONS)
def test_the_traces_are_the_same_under_every_python(version: str, tmp_path: Path) -> None:
    if version == OWN:
        pytest.skip("this Python is what the others are compared with")
    python = at_hand(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    print(f"Python {version} is at hand: {python}")
    assert traces(installed(python, tmp_path), hash_seed=version.removeprefix("3.")) == traces_here()


@lru_cache(maxsize=1)
def traces_here() -> dict[str, str]:
    return traces(Path(sys.executable), hash_seed="0", path=os.pathsep.join(sys.path))


def traces(python: Path, *, hash_seed: str, path: str = "") -> dict[str, str]:
    """By tier and seed."""
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
    done = subprocess.run(
        [python, "-c", SCRIPT], env=environment, capture_output=True, text=True, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, str] = json.loads(done.stdout)
    return found


def at_hand(version: str) -> Path | None:
    """An interpreter of this version that starts and can make environments."""
    named = shutil.which(f"python{version}")
    known = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    question = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for python in [*known, *([Path(named)] if named else [])]:
        said = subprocess.run([python, "-c", question], capture_output=True, text=True, check=False)
        if said.stdout.strip() == version:
            return python
    return None


def installed(python: Path, folder: Path) -> Path:
    """The interpreter of an environment with the project; skipped where the package index is out of reach."""
    made = folder / "venv"
    inside = made / "bin" / "python"
    commands: list[list[str | Path]]
    if uv := shutil.which("uv"):
        commands = [
            [uv, "venv", "-q", "--python", python, made],
            [uv, "pip", "install", "-q", "--python", inside],
        ]
    else:
        pip: list[str | Path] = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        commands = [[python, "-m", "venv", made], pip]
    for command in (commands[0], [*commands[1], f"posdecom[world] @ {ROOT.as_uri()}"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"nothing installed in {INSTALL_S_MAX} s: no package index?")
        if done.returncode and NO_INDEX.search(done.stderr):
            pytest.skip(f"no package index: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr[-2000:]
    return inside
