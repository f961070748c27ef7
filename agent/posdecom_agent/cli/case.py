"""``posdecom case``: the paperwork that goes with a decommission: make it, check it, have it witnessed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..wording import N_, _, spoken
from .output import Output, output_options, pass_output
from .work import FILE

if TYPE_CHECKING:
    from ..case.file import Case
    from ..case.kinds import Words
    from ..case.points import Point, Section
    from ..case.question import Ask

NEW_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("case", help=N_("""The paperwork: application, accounts, equipment, documents, witness."""))
def command() -> None:
    pass


@command.command(
    "new",
    help=N_("Write a new case to FILE, from your answers. An empty answer leaves a point open for later."),
)
@click.argument("file", type=NEW_FILE)
@click.option("--template", is_flag=True, help=N_("Ask nothing; write every question as a comment."))
@click.option("--serial", help=N_("The terminal's serial."))
@output_options
@pass_output
def new(output: Output, file: Path, template: bool, serial: str | None) -> None:
    from ..case.question import Answers, ask_case
    from ..case.template import write_template
    from .finish import write_whole

    if file.exists():
        raise click.UsageError(_("{file} is there already; it is edited by hand", file=str(file)))
    answers = Answers() if template else ask_case(_ask_with(serial), output.say)
    if serial is not None:
        answers.single["case.serial"] = serial
    write_whole(file, write_template(answers.single, answers.rows).encode())
    output.result("case", {"file": str(file)}, str(file))


@command.command("check", help=N_("""Say what is wrong with the case in FILE, or how much of it is open."""))
@click.argument("file", type=FILE)
@output_options
@pass_output
def check(output: Output, file: Path) -> None:
    from posdecom_protocol.documents.certificate import Standing

    from ..case.checklist import label_of, stated_points

    case = load_case(output, file)
    points = stated_points(case)
    still_open = [point.point for point in points if point.standing is Standing.OPEN]
    lines = [
        _("{stated} points stated, {open} open", stated=len(points) - len(still_open), open=len(still_open))
    ]
    lines += [f"  {key:<32}{in_language(label_of(key))}" for key in still_open]
    output.result(
        "case", {"file": str(file), "answers": dict(case.answers), "open": still_open}, "\n".join(lines)
    )


@command.command(
    "witness",
    help=N_(
        "Sign what the case in FILE states, as the last one to touch it: any later change undoes the signature."
    ),
)
@click.argument("file", type=FILE)
@click.option("--key", "key_file", required=True, type=FILE, help=N_("The witness's own Ed25519 key, PEM."))
@click.option("--name", required=True, help=N_("The witness."))
@click.option("--role", required=True, help=N_("In which capacity: shopkeeper, bank, second technician."))
@click.option("--method", default="in-person", show_default=True, type=click.Choice(["in-person", "remote"]))
@output_options
@pass_output
def witness(output: Output, file: Path, key_file: Path, name: str, role: str, method: str) -> None:
    from ..case.file import Case
    from ..case.template import toml_value
    from ..case.witness import WitnessError, fingerprint, load_key, sign_statement
    from .finish import write_whole

    case = load_case(output, file)
    if any(key.startswith("witness.") for key in case.answers):
        raise click.UsageError(_("a witness has signed it already; take [witness] out to sign again"))
    try:
        key = load_key(key_file)
    except WitnessError as error:
        raise click.UsageError(_(error.args[0])) from error
    added = {"witness.name": name, "witness.role": role, "witness.method": method}
    stated = {**case.answers, **added}
    signed = Case({**stated, **sign_statement(stated, key)})
    rows = {
        point.partition(".")[2]: text
        for point, text in signed.answers.items()
        if point.startswith("witness.")
    }
    cells = (f"{name} = {toml_value(text)}" for name, text in rows.items())
    text = "\n".join(("", "[witness]", *cells, ""))
    write_whole(file, file.read_bytes().rstrip(b"\n") + b"\n" + text.encode())
    load_case(output, file)
    shown = fingerprint(signed.answers)
    output.result(
        "case",
        {"file": str(file), "key": shown},
        _("{file} signed with key {key}", file=str(file), key=shown),
    )


def load_case(output: Output, file: Path) -> Case:
    """The case in ``file``, its witness's signature checked; every problem is said, and the first is the trouble."""
    from .. import catalogue
    from ..case.file import CASE_BYTES_MAX, CaseError, read_case
    from ..case.witness import KEY, signature_holds
    from ..trouble import Trouble

    with file.open("rb") as opened:
        data = opened.read(CASE_BYTES_MAX + 1)
    try:
        case = read_case(data, lambda name: _hash_of(file.parent / name))
    except CaseError as error:
        for problem in error.problems[1:]:
            output.say(f"{file}:{_located(problem)}")
        raise Trouble(catalogue.CASE, file=str(file), cause=_located(error.problems[0])) from error
    if KEY in case.answers and not signature_holds(case.answers):
        cause = N_("the witness signed other words: take [witness] out and have it signed again")
        raise Trouble(catalogue.CASE, file=str(file), cause=cause)
    return case


def in_language(words: Words) -> str:
    return words.zh if spoken() == "zh" else words.en


# --- private -------------------------------------------------------------------------------------


def _located(problem: object) -> str:
    from ..case.file import Problem

    assert isinstance(problem, Problem)
    where = f"{problem.line}: " if problem.line else ""
    return f"{where}{problem.key}: {_(problem.reason)}"


def _hash_of(path: Path) -> str | None:
    """A file beside the case; one that is not there has no hash."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ask_with(serial: str | None) -> Ask:
    """Asks on the screen, each section under its heading; what is known already is not asked."""
    heading = ""

    def ask(section: Section, point: Point) -> str:
        nonlocal heading
        if (section.name, point.name) == ("case", "serial") and serial is not None:
            return serial
        if heading != section.name:
            heading = section.name
            click.echo(f"\n{in_language(section.label)}", err=True)
        hint = in_language(point.kind.hint)
        answer: str = click.prompt(
            f"  {in_language(point.label)} ({hint})", default="", show_default=False, err=True
        )
        return answer

    return ask
