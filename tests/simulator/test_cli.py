"""The frame of ``posdecom-sim``: the table is the help, commands are imported when they are called."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import click
import pytest

from posdecom_simulator.cli import COMMANDS, main

HEAVY = ["cryptography", "sqlite3", "serial", "ssl", "cbor2", "construct", "iso8583", "asyncio", "http"]


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    script = "import sys; from posdecom_simulator.cli import main\n"
    script += "try: main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
    script += f"print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    *help_lines, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    listed = help_lines[help_lines.index("Commands:") + 1 :]
    assert [line.split()[0] for line in listed] == list(COMMANDS)


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "posdecom_simulator", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("posdecom-sim ")


def test_a_command_comes_from_its_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = ModuleType("posdecom_simulator.commands.try_")
    module.command = click.command("try")(lambda: click.echo("tried"))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(COMMANDS, "try", (".commands.try_", "Try."))
    with pytest.raises(SystemExit) as caught:
        main(["try"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == "tried\n"


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bogus"])
    assert caught.value.code == 2
    assert "bogus" in capsys.readouterr().err
