"""``posdecom demo``: retires a simulated terminal, start to end, exactly as a technician would a real one.

Terminal and acquirer run as processes of their own; this module starts them, types the technician's commands and shows
them. It imports nothing of the simulator.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from ..wording import N_, _
from .output import Output, output_options, pass_output

SERIAL: Final = "PD-000001"
FOLDER: Final = "posdecom-demo"
FOLDERS_MAX: Final = 1000
START_S: Final = 20.0
"""How long a simulator may take to start on a slow machine before the demo gives up."""


@click.command(
    help=N_("""Retire a simulated terminal with 200 transactions: make a site, start terminal and acquirer as processes,
    run posdecom retire on a pseudo-terminal, and verify the certificate.""")
)
@click.option(
    "--transactions", default=200, show_default=True, type=click.IntRange(1, 1900), help=N_("In two batches.")
)
@click.option("--seed", default=1, show_default=True, type=int, help=N_("Of the transactions."))
@click.option(
    "--out", "out_folder", type=click.Path(path_type=Path, file_okay=False), help=N_("A new or empty folder.")
)
@output_options
@pass_output
def command(output: Output, transactions: int, seed: int, out_folder: Path | None) -> int:
    from .finish import file_list

    started = time.monotonic()
    out = _fresh_folder(out_folder)
    site, work = out / "site", out / "work"
    _run(output, "posdecom_simulator", "provision", str(site))
    with (
        _server(output, "acquirer", "--site", site, "--host", "127.0.0.1:0", "--desk", "127.0.0.1:0",
                "--state", work / "acquirer") as acquirer,
        _server(output, "terminal", "--site", site, "--serial", SERIAL, "--pty", "--link", work / "tty",
                "--state", work / "terminal", "--transactions", str(transactions), "--seed", str(seed)) as terminal,
    ):  # fmt: skip
        _run(output, "posdecom_agent", *_order_arguments(site, work / "order.cose"))  # while they start
        host, desk = _words_after(acquirer, "host"), _words_after(acquirer, "desk")
        _words_after(terminal, "terminal")
        _run(output, "posdecom_agent", "info", "--port", work / "tty", "--site", site / "technician")
        _run(output, "posdecom_agent", "retire", "--port", work / "tty", "--site", site / "technician",
             "--order", work / "order.cose", "--host", host, "--desk", desk, "--journal", work / "journal",
             "--out", out, "--confirm-serial", SERIAL)  # fmt: skip
        _run(output, "posdecom_agent", "info", "--port", work / "tty", "--site", site / "technician")
    verified = _run(
        output, "posdecom_agent", "verify", out / "certificate.posdecom", "--trust", out / "trust.pem"
    )
    seconds = time.monotonic() - started
    files = {
        "certificate": str(out / "certificate.posdecom"),
        "trust": str(out / "trust.pem"),
        "journal": str(work / "journal"),
        "terminal": str(work / "terminal"),
        "acquirer": str(work / "acquirer"),
    }
    text = file_list(files)
    done = _("Done in {seconds:.1f} s.", seconds=seconds)
    output.result("demo", {"seconds": round(seconds, 1), "files": files}, f"\n{done}\n{text}")
    return verified


def _fresh_folder(wanted: Path | None) -> Path:
    """``wanted`` if it is new or empty; without a wish the first free ``posdecom-demo``, ``posdecom-demo-2`` ..."""
    if wanted is None:
        names = [FOLDER, *(f"{FOLDER}-{number}" for number in range(2, FOLDERS_MAX))]
        wanted = next(Path(name) for name in names if not Path(name).exists())
    if wanted.exists() and any(wanted.iterdir()):
        raise click.BadParameter(
            _("{wanted} is not empty; a demo starts in a new folder", wanted=wanted), param_hint="--out"
        )
    (wanted / "work").mkdir(mode=0o700, parents=True)
    return wanted


def _order_arguments(site: Path, out_file: Path) -> Iterator[str]:
    """What the acquirer types to order the terminal out of service."""
    yield from ("order", "new", "--serial", SERIAL, "--counter", "1", "--issuer", "Demo Acquirer")
    settings = tomllib.loads((site / "terminals" / SERIAL / "settings.toml").read_text(encoding="utf-8"))
    for context in settings["context"]:
        yield from ("--account", f"{context['acquirer']}/{context['mid']}/{context['tid']}")
    signer = site / "acquirer" / "order"
    yield from ("--key", f"{signer}.key", "--certificate", f"{signer}.pem", "--out", str(out_file))


# --- processes -----------------------------------------------------------------------------------


def _run(output: Output, module: str, *arguments: object) -> int:
    """Show a command and run it as a process; its failure is the demo's."""
    words = [str(argument) for argument in arguments]
    output.say(f"\n$ {_program(module)} {shlex.join(words)}")
    stdout = sys.stderr if output.as_json else None
    done = subprocess.run(
        [sys.executable, "-m", module, *words], stdout=stdout, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        click.get_current_context().exit(done.returncode)
    return done.returncode


@contextmanager
def _server(output: Output, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Start a simulator and stop it at the end, whatever happens."""
    words = [str(argument) for argument in arguments]
    output.say(f"\n$ posdecom-sim {shlex.join(words)} &")
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "posdecom_simulator", *words],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=START_S)


def _words_after(process: subprocess.Popen[str], first: str) -> str:
    """The rest of the line that begins with ``first`` in what a simulator says when it is ready."""
    assert process.stdout is not None
    for line in process.stdout:
        word, _, rest = line.strip().partition(" ")
        if word == first:
            return rest
    raise click.ClickException(_("a simulator ended before it was ready"))


def _program(module: str) -> str:
    return "posdecom-sim" if module == "posdecom_simulator" else "posdecom"
