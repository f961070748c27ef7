"""The frame of the command line: fast help, results on stdout only, failure in three lines with its exit code."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import click
import pytest

from posdecom_agent.cli import COMMANDS, main
from posdecom_agent.cli import ports as ports_command
from posdecom_agent.cli.bar import Bar
from posdecom_agent.cli.output import Lines, Output, output_options, pass_output
from posdecom_agent.port_access import PortBusy
from posdecom_agent.ports import PortInfo
from posdecom_agent.trouble import Exit

HEAVY = [
    "cryptography",
    "sqlite3",
    "serial",
    "ssl",
    "cbor2",
    "construct",
    "iso8583",
    "asyncio",
    "subprocess",
    "http",
    "rich",
    "fpdf",
]

USB = PortInfo("/dev/ttyUSB0", "FT232R", 0x0403, 0x6001, "POS0001", "1-4.3", accessible=False)
PLAIN = PortInfo("/dev/ttyS0", "", None, None, None, None, accessible=True)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Output], object]], None]:
    """Put a function behind ``posdecom try``."""

    def install(body: Callable[[Output], object]) -> None:
        module = ModuleType("posdecom_agent.cli.try_")
        module.command = click.command("try")(output_options(pass_output(body)))  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(COMMANDS, "try", (".try_", "Try."))

    return install


# ---- help


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    script = "import sys; from posdecom_agent.cli import main\n"
    script += "try: main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
    script += f"print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    *help_lines, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    listed = help_lines[help_lines.index("Commands:") + 1 :]
    assert [line.split()[0] for line in listed] == list(COMMANDS)
    assert done.stderr == ""


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "posdecom_agent", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("posdecom ")


def test_a_command_is_imported_only_when_it_is_called() -> None:
    script = "import sys; from posdecom_agent.cli import main\n"
    script += "try: main(['ports', '--json'])\nexcept SystemExit: pass\n"
    script += "print('serial' in sys.modules, 'cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True False"


# ---- failure


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["--nope"], "--nope", "posdecom --help"),
        (["ports", "--nope"], "--nope", "posdecom ports --help"),
        (["bogus"], "bogus", "posdecom --help"),
        ([], "Missing command", "posdecom --help"),
    ],
)
def test_a_wrong_command_line_is_three_lines_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str, hint: str
) -> None:
    assert run(*arguments) == Exit.USAGE
    out, err = capsys.readouterr()
    first, second, third = err.splitlines()
    assert first.startswith("error[PD-E02]: ")
    assert said in first
    assert second.startswith("cause: ")
    assert third == f"try: {hint}; see docs/errors.md#pd-e02"
    assert out == ""


def fail_with(error: BaseException) -> Callable[[Output], object]:
    def body(_: Output) -> object:
        raise error

    return body


def abort_after(error: BaseException) -> Callable[[Output], object]:
    def body(_: Output) -> object:
        try:
            raise error
        except (KeyboardInterrupt, EOFError):
            raise click.Abort() from None

    return body


@pytest.mark.parametrize(
    ("body", "code", "exit_code"),
    [
        (fail_with(PortBusy("/dev/ttyUSB0", "minicom has it open")), "PD-E23", Exit.BUSY),
        (fail_with(FileNotFoundError(2, "no", "a.cose")), "PD-E06", Exit.USAGE),
        (fail_with(click.UsageError("both or neither")), "PD-E02", Exit.USAGE),
        (fail_with(click.FileError("a.cose", "no")), "PD-E02", Exit.USAGE),
        (fail_with(KeyboardInterrupt()), "PD-E05", Exit.INTERRUPTED),
        (abort_after(KeyboardInterrupt()), "PD-E05", Exit.INTERRUPTED),
        (abort_after(EOFError()), "PD-E03", Exit.DECLINED),
        (fail_with(click.Abort()), "PD-E03", Exit.DECLINED),
        (fail_with(ZeroDivisionError("4111111111111111")), "PD-E01", Exit.INTERNAL),
        (fail_with(AssertionError()), "PD-E01", Exit.INTERNAL),
    ],
)
def test_every_failure_is_three_lines_with_its_exit_code_and_no_traceback(
    command: Callable[[Callable[[Output], object]], None],
    capsys: pytest.CaptureFixture[str],
    body: Callable[[Output], object],
    code: str,
    exit_code: Exit,
) -> None:
    command(body)
    assert run("try") == exit_code
    out, err = capsys.readouterr()
    first, second, third = err.strip().splitlines()
    assert first.startswith(f"error[{code}]: ")
    assert second.startswith("cause: ")
    assert third.startswith("try: ")
    assert out == ""
    assert "4111" not in err


def test_a_failure_with_json_is_one_document_on_stdout_too(
    command: Callable[[Callable[[Output], object]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(fail_with(PortBusy("/dev/ttyUSB0", "minicom has it open")))
    assert run("try", "--json", "--quiet") == 13
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["schema"], document["code"], document["exit"]) == ("posdecom/error/1", "PD-E23", 13)
    assert (document["class"], document["cause"]) == ("port-busy", "minicom has it open")
    assert err.startswith("error[PD-E23]: /dev/ttyUSB0 is in use\n")


def test_a_developer_may_ask_for_the_traceback(
    command: Callable[[Callable[[Output], object]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    command(fail_with(ZeroDivisionError()))
    monkeypatch.setenv("POSDECOM_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["try"])


@pytest.mark.parametrize(("result", "code"), [(None, 0), (Exit.DONE, 0), (Exit.UNATTESTED, 33), ("text", 0)])
def test_what_a_command_returns_is_the_exit_code(
    command: Callable[[Callable[[Output], object]], None], result: object, code: int
) -> None:
    command(lambda _: result)
    assert run("try") == code


# ---- output


def test_results_go_to_stdout_and_talk_to_stderr(
    command: Callable[[Callable[[Output], object]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def body(output: Output) -> None:
        output.say("hello")
        output.progress("flush", 1, 2, now=0.0)
        output.result("try", {"items": 2}, "2 items")

    command(body)
    assert run("try") == 0
    assert capsys.readouterr() == ("2 items\n", "hello\nflush: 1 of 2 (50 %)\n")
    assert run("try", "--quiet") == 0
    assert capsys.readouterr() == ("2 items\n", "")
    assert run("try", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"schema": "posdecom/try/1", "items": 2}
    assert err == "hello\nflush: 1 of 2 (50 %)\n"


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_errors_are_red_on_a_terminal_and_plain_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", coloured := Screen())
    run("--nope")
    assert coloured.getvalue().startswith("\x1b[31merror[PD-E02]")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", plain := Screen())
    run("--nope")
    assert plain.getvalue().startswith("error[PD-E02]")
    assert "\x1b" not in plain.getvalue()


def test_progress_on_a_pipe_is_one_line_a_phase_and_one_every_5_s() -> None:
    stream = io.StringIO()
    progress = Lines(stream)
    for tenth in range(121):
        progress.update("flush", tenth, 120, now=1000 + tenth / 10)
    progress.update("settle", 0, None, now=1013.0)
    progress.end()
    assert stream.getvalue().splitlines() == [
        "flush: 0 of 120 (0 %)",
        "flush: 50 of 120 (41 %), 10.0 a second, about 7 s left",
        "flush: 100 of 120 (83 %), 10.0 a second, about 2 s left",
        "settle",
    ]


def test_progress_on_a_screen_is_a_bar_with_count_and_rate() -> None:
    stream = Screen()
    bar = Bar(stream)
    for tenth in range(21):
        bar.update("flush", tenth * 10, 200, now=1000 + tenth / 10)
    bar.end()
    bar.update("settle", 0, None, now=1003.0)
    bar.end()
    assert stream.getvalue().count("flush") <= 24
    last_of_first = re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", stream.getvalue().split("settle")[0]).splitlines()[
        -2
    ]
    assert "200/200" in last_of_first
    assert "100.0/s" in last_of_first


def test_a_bar_is_redrawn_ten_times_a_second_at_most() -> None:
    stream = Screen()
    bar = Bar(stream)
    for thousandth in range(100):
        bar.update("flush", thousandth, 200, now=1000 + thousandth / 1000)
    drawn = stream.getvalue().count("flush")
    bar.end()
    assert drawn <= 2


def test_talk_starts_on_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    output = Output()
    output.progress("flush", 0, None, now=0.0)
    output.say("hello")
    assert re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).endswith("\nhello\n")


def test_what_draws_is_imported_when_it_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import sys; from posdecom_agent.cli import main\n"
    script += "try: main(['jobs', '--journal', '.'])\nexcept SystemExit: pass\n"
    script += "print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_marks_are_coloured_on_a_screen_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "first\n  ok  money\n  !!  keys"
    Output().result("try", {}, text)
    assert capsys.readouterr().out == f"{text}\n"
    monkeypatch.setattr(sys, "stdout", screen := Screen())
    Output().result("try", {}, text)
    assert screen.getvalue() == "first\n\x1b[32m  ok  \x1b[0mmoney\n\x1b[31m  !!  \x1b[0mkeys\n"


# ---- events


def events_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_events_begin_with_start_and_end_with_the_exit_code(
    command: Callable[[Callable[[Output], object]], None], tmp_path: Path
) -> None:
    def work(output: Output) -> None:
        for tenth in range(21):
            output.progress("flush", tenth, 20, now=tenth / 10)

    command(work)
    file = tmp_path / "events"
    assert run("try", "--quiet", "--events", str(file)) == 0
    first, *between, last = events_of(file)
    assert (first["event"], first["command"]) == ("start", "posdecom try")
    assert (last["event"], last["exit"]) == ("end", 0)
    assert [(one["event"], one["done"]) for one in between] == [
        ("progress", 0),
        ("progress", 10),
        ("progress", 20),
    ]
    assert {one["schema"] for one in (first, *between, last)} == {"posdecom/events/1"}
    assert len({one["run_id"] for one in (first, *between, last)}) == 1


def test_a_failure_is_an_event_before_the_end(
    command: Callable[[Callable[[Output], object]], None], tmp_path: Path
) -> None:
    command(fail_with(PortBusy("/dev/ttyUSB0", "minicom has it open")))
    assert run("try", "--events", str(tmp_path / "events")) == Exit.BUSY
    _, error, end = events_of(tmp_path / "events")
    assert (error["event"], error["code"], end["exit"]) == ("error", "PD-E23", Exit.BUSY)


def test_events_of_two_runs_follow_each_other_in_one_file(tmp_path: Path) -> None:
    for _ in range(2):
        run("jobs", "--journal", str(tmp_path), "--events", str(tmp_path / "events"))
    assert [one["event"] for one in events_of(tmp_path / "events")] == ["start", "end"] * 2
    assert len({one["run_id"] for one in events_of(tmp_path / "events")}) == 2


def test_a_place_for_events_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    assert run("jobs", "--journal", str(tmp_path), "--events", str(tmp_path / "no" / "events")) == Exit.USAGE


# ---- ports


def test_ports_prints_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    show(monkeypatch, PLAIN, USB)
    assert run("ports") == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "PORT          USB ID     SERIAL NUMBER  USB PATH  ACCESS  DESCRIPTION",
        "/dev/ttyS0    -          -              -         yes     -",
        "/dev/ttyUSB0  0403:6001  POS0001        1-4.3     no      FT232R",
    ]
    assert err == ""


def test_ports_prints_one_json_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show(monkeypatch, USB)
    assert run("ports", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "schema": "posdecom/ports/1",
        "ports": [
            {
                "device": "/dev/ttyUSB0",
                "description": "FT232R",
                "vid": 0x0403,
                "pid": 0x6001,
                "serial_number": "POS0001",
                "location": "1-4.3",
                "accessible": False,
            }
        ],
    }
    assert err == ""


def test_no_port_is_an_empty_result_and_a_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show(monkeypatch)
    assert run("ports") == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "cable" in err
    assert run("ports", "--json") == 0
    assert json.loads(capsys.readouterr().out)["ports"] == []


def test_a_device_cannot_write_to_the_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show(monkeypatch, PortInfo("/dev/ttyUSB0", "\x1b[2Jgone", None, None, "a\nb", None, accessible=True))
    run("ports")
    out = capsys.readouterr().out
    assert "?[2Jgone" in out
    assert "a?b" in out
    assert len(out.splitlines()) == 2


def show(monkeypatch: pytest.MonkeyPatch, *found: PortInfo) -> None:
    monkeypatch.setattr(ports_command, "candidates", lambda: list(found))
