"""What goes with a certificate: the case in it, the PDF beside it, and the command that is run when it is there."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ..wording import N_, _
from .output import Output
from .work import FILE

if TYPE_CHECKING:
    from ..job import Job
    from ..view import View

PDF_FILE: Final = "certificate.pdf"
HOOK_SECONDS_MAX: Final = 600
"""A hook that hangs must not hold a technician in the shop."""

_KEY: Final = "posdecom.papers"
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Papers:
    """What the command line asks for. Made by `paper_options`, found by `asked_papers`."""

    case_file: Path | None = None
    on_complete: str | None = None
    is_absent: bool = False

    def hand_in(self, output: Output, job: Job) -> None:
        """Keep the case with the job; a certificate that is made already does not change."""
        from .. import catalogue
        from ..case.checklist import encode_case
        from ..trouble import Trouble
        from .case import load_case

        if self.case_file is None:
            return
        case = load_case(output, self.case_file)
        serial = job.order.body.serial
        if case.get("case.serial") not in (None, serial):
            cause = N_("case.serial: the order is for terminal {serial}", serial=serial)
            raise Trouble(catalogue.CASE, file=str(self.case_file), cause=cause)
        data = encode_case(case)
        if job.certificate is not None and data != job.case:
            output.say(_("the certificate is made already; this case is not in it"))
        job.keep_case(data)


def paper_options(command: F) -> F:
    """``--case``, ``--on-complete`` and ``--absent``; they go into the `Papers`, not into the command's parameters."""
    for option in (
        click.option(
            "--absent",
            "is_absent",
            is_flag=True,
            expose_value=False,
            callback=_remember,
            help=N_("There is no terminal: certify that, with the keys that the order revokes."),
        ),
        click.option(
            "--on-complete",
            "on_complete",
            metavar="COMMAND",
            expose_value=False,
            callback=_remember,
            help=N_("Run when the certificate lies there; POSDECOM_* in its environment say where and what."),
        ),
        click.option(
            "--case",
            "case_file",
            type=FILE,
            expose_value=False,
            callback=_remember,
            help=N_("The case file: the paperwork that goes into the certificate."),
        ),
    ):
        command = option(command)
    return command


def asked_papers() -> Papers:
    """Of the command that runs; nothing is asked where none does."""
    context = click.get_current_context(silent=True)
    papers: Papers = Papers() if context is None else context.meta.setdefault(_KEY, Papers())
    return papers


def leave_pdf(output: Output, view: View, file: Path) -> Path | None:
    """The PDF beside the certificate; where a character has no glyph, one line says so and how to go on."""
    from ..trouble import Trouble
    from .view import write_pdf

    try:
        write_pdf(view, file)
    except Trouble as trouble:
        output.say(f"{_(trouble.message)}: {trouble.cause}")
        return None
    return file


def run_hook(output: Output, papers: Papers, view: View, files: dict[str, str]) -> None:
    """Run ``--on-complete``. Its words go to stderr; its failure is said, and changes no exit code."""
    if papers.on_complete is None:
        return
    environment = {
        "POSDECOM_SERIAL": view.verdict.serial,
        "POSDECOM_STATE": view.verdict.state.name.lower(),
        "POSDECOM_SHA256": view.chain.certificate.digest.hex(),
        **{f"POSDECOM_{name.upper()}": path for name, path in files.items()},
    }
    try:
        done = subprocess.run(
            shlex.split(papers.on_complete),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=2,
            timeout=HOOK_SECONDS_MAX,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        output.say(_("--on-complete did not run: {reason}", reason=type(error).__name__))
        return
    if done.returncode:
        output.say(_("--on-complete failed with exit code {code}", code=done.returncode))


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    assert parameter.name is not None
    if value is not None:
        setattr(context.meta.setdefault(_KEY, Papers()), parameter.name, value)
