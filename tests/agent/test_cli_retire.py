"""The technician's commands over stations in memory: what is asked first, what an interrupt leaves, what is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import posdecom_agent.cli.finish
import posdecom_agent.line
import posdecom_agent.stations
import posdecom_agent.survey
from document_chain import ANCHORS, HANDS, SERIAL, SHIFT, TECHNICIANS, Identity
from posdecom_agent.catalogue import Exit
from posdecom_agent.cli import main
from posdecom_agent.cli.findings import NOTES_SHOWN_MAX, verdict_text
from posdecom_agent.cli.output import Output
from posdecom_agent.cli.progress import Teller
from posdecom_agent.dialects import Delivered
from posdecom_agent.job import Job
from posdecom_agent.look import Look
from posdecom_agent.procedure import DeskReply, SettleEnd, Step
from posdecom_agent.refusals import REFUSALS
from posdecom_agent.visit import Goal, VisitEnd
from posdecom_protocol.certificates import Role
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.order import Action, Order
from posdecom_protocol.documents.seal import OpenPreauth, SealedContext
from posdecom_protocol.greeting import Welcome
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.link_events import CloseReason
from posdecom_protocol.messages import Inventory, Refusal, SlotInfo
from posdecom_protocol.stack import ChannelOver, LinkOver
from posdecom_protocol.verdict import judge
from release_case import LATER, Case, CaseStations, begin_job, open_case


class Clock:
    def now(self) -> float:
        return LATER


@pytest.fixture
def case() -> Case:
    return open_case(count=20)


@pytest.fixture
def stations(case: Case, monkeypatch: pytest.MonkeyPatch) -> CaseStations:
    """What `retire` meets instead of a cable and a network."""
    made = CaseStations(case)
    monkeypatch.setattr(posdecom_agent.stations, "RealStations", lambda *_, **__: made)
    monkeypatch.setattr(posdecom_agent.line, "WallClock", Clock)
    # half a second each, and test_report.py and the demo's tests look at it
    monkeypatch.setattr(posdecom_agent.cli.finish, "leave_pdf", lambda *_: None)
    return made


@pytest.fixture
def folder(tmp_path: Path, case: Case) -> Path:
    technician = tmp_path / "technician"
    technician.mkdir()
    write_technician(technician)
    (tmp_path / "order.cose").write_bytes(case.order)
    return tmp_path


def write_technician(folder: Path) -> None:
    identity = Identity("technician")
    roles = (Role.TECHNICIAN, Role.TECHNICIAN_CHANNEL)
    (der,) = identity.hand(TECHNICIANS, *roles, validity=SHIFT).chain
    key = identity.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "technician.key").write_bytes(key)
    (folder / "technician.key").chmod(0o600)
    pem = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
    (folder / "technician.pem").write_bytes(pem)
    (folder / "anchors.pem").write_bytes(ANCHORS.pem())


def retire(folder: Path, **changes: str) -> int:
    options = {
        "port": "/dev/ttyUSB0",
        "site": str(folder / "technician"),
        "order": str(folder / "order.cose"),
        "host": "127.0.0.1:8583",
        "desk": "http://127.0.0.1:8080",
        "journal": str(folder / "journal"),
        "out": str(folder / "out"),
        "confirm-serial": SERIAL,
    } | changes
    return run("retire", *(word for name, value in options.items() for word in (f"--{name}", value)))


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def assert_three_lines(capsys: pytest.CaptureFixture[str], code: str, *said: str) -> None:
    """At the end; what came before was progress."""
    first, second, third = capsys.readouterr().err.splitlines()[-3:]
    assert first.startswith(f"error[{code}]: ")
    assert second.startswith("cause: ")
    assert third.startswith("try: ")
    for words in said:
        assert words in "\n".join((first, second, third))


# --- retire ------------------------------------------------------------------------------------------------


def test_it_leaves_a_certificate_and_says_the_same_when_it_is_run_again(
    folder: Path, stations: CaseStations, capsys: pytest.CaptureFixture[str]
) -> None:
    assert retire(folder) == Exit.DONE
    first = capsys.readouterr()
    assert first.out.startswith(f"terminal {SERIAL}: COMPLETE\n")
    assert judge((folder / "out" / "certificate.posdecom").read_bytes(), ANCHORS).serial == SERIAL
    count = len(stations.case.items)
    assert [line for line in first.err.splitlines() if not line.startswith("  context")] == [
        "reading out ...",
        f"  {count} messages in custody",
        "settling with the host ...",
        f"  {len(stations.sent)} messages answered",
        "asking the desk for the receipt ...",
        "erasing keys ...",
        "making the certificate ...",
        "asking the desk for the closure ...",
    ]
    assert retire(folder) == Exit.DONE
    assert capsys.readouterr() == (first.out, "")


class Interrupted(CaseStations):
    """Ctrl-C in the middle of one step."""

    at: Step | None = None

    def _maybe(self, step: Step) -> None:
        if self.at is step:
            raise KeyboardInterrupt

    def visit(self, job: Job, goal: Goal) -> VisitEnd:
        self._maybe(Step.FLUSH if goal is Goal.FLUSH else Step.ERASE)
        return super().visit(job, goal)

    def settle(self, job: Job, context: SealedContext) -> SettleEnd:
        self._maybe(Step.SETTLE)
        return super().settle(job, context)

    def ask_receipt(self, job: Job) -> DeskReply:
        self._maybe(Step.AGREE)
        return super().ask_receipt(job)

    def certify(self, job: Job) -> bytes:
        self._maybe(Step.CERTIFY)
        return super().certify(job)

    def ask_closure(self, job: Job) -> DeskReply:
        self._maybe(Step.CLOSE)
        return super().ask_closure(job)


@pytest.mark.parametrize("step", [step for step in Step if step not in (Step.REPLACE, Step.DONE)])
def test_an_interrupt_in_any_step_is_130_and_the_same_command_goes_on(
    folder: Path,
    case: Case,
    stations: CaseStations,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    step: Step,
) -> None:
    """The second run would meet a busy journal if the first had not closed it."""
    interrupted = Interrupted(case)
    interrupted.at = step
    monkeypatch.setattr(posdecom_agent.stations, "RealStations", lambda *_, **__: interrupted)
    assert retire(folder) == Exit.INTERRUPTED
    assert_three_lines(capsys, "PD-E05", "type posdecom retire --port")
    assert not (folder / "out").exists()
    interrupted.at = None
    assert retire(folder) == Exit.DONE


@pytest.mark.parametrize(
    ("changes", "code", "exit_code", "said"),
    [
        ({"host": "nowhere"}, "PD-E02", Exit.USAGE, "--host: an address is HOST:PORT"),
        ({"desk": "ftp://desk"}, "PD-E02", Exit.USAGE, "--desk: a desk is http://"),
        ({"confirm-serial": "T-0002"}, "PD-E03", Exit.DECLINED, f"the order names terminal {SERIAL}"),
        ({"site": "/nowhere"}, "PD-E09", Exit.FORBIDDEN, "/nowhere/technician.key cannot be read"),
        ({"order": "/nowhere"}, "PD-E02", Exit.USAGE, "/nowhere"),
    ],
)
def test_what_is_wrong_from_the_start_touches_nothing(
    folder: Path,
    stations: CaseStations,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    code: str,
    exit_code: Exit,
    said: str,
) -> None:
    assert retire(folder, **changes) == exit_code
    assert_three_lines(capsys, code, said)
    assert not (folder / "journal").exists()
    assert not (folder / "out").exists()


def test_an_order_that_allows_no_erase_is_for_other_commands(
    folder: Path, case: Case, stations: CaseStations, capsys: pytest.CaptureFixture[str]
) -> None:
    body = open_document(case.order, Order).body
    (folder / "order.cose").write_bytes(issue(replace(body, actions=(Action.FLUSH,)), HANDS.order))
    assert retire(folder) == Exit.USAGE
    assert_three_lines(capsys, "PD-E02", "the order allows no erase", "posdecom settle")
    assert not (folder / "journal").exists()


def test_an_order_of_somebody_else_is_not_taken(
    folder: Path, case: Case, stations: CaseStations, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "order.cose").write_bytes(issue(open_document(case.order, Order).body, HANDS.technician))
    assert retire(folder) == Exit.FORGED
    assert_three_lines(capsys, "PD-E40", "order, ")


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o707])
def test_a_journal_folder_that_others_may_read_is_refused_with_the_remedy(
    folder: Path, stations: CaseStations, capsys: pytest.CaptureFixture[str], mode: int
) -> None:
    place = folder / "journal"
    place.mkdir()
    place.chmod(mode)
    assert retire(folder) == Exit.STORAGE
    assert_three_lines(capsys, "PD-E34", f"has mode {mode:04o}", f"chmod 0700 {place}")
    place.chmod(0o700)
    assert retire(folder) == Exit.DONE


def test_an_out_folder_that_cannot_be_made_is_named_and_the_job_is_done_all_the_same(
    folder: Path, stations: CaseStations, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "file").write_bytes(b"")
    assert retire(folder, out=str(folder / "file" / "out")) == Exit.USAGE
    assert_three_lines(capsys, "PD-E06", f"{folder}/file/out is not there")
    asked = list(stations.asked)
    assert retire(folder) == Exit.DONE
    assert stations.asked == asked, "or something was done twice"


# --- info --------------------------------------------------------------------------------------------------


@pytest.fixture
def look_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Look], None], str], int]:
    """``posdecom info`` over a drive that leaves this in the look."""

    class Port:
        def close(self) -> None:
            pass

    monkeypatch.setattr(posdecom_agent.survey, "open_port", lambda url, baud: Port())

    def look(found: Callable[[Look], None], *more: str) -> int:
        monkeypatch.setattr(posdecom_agent.survey, "drive", lambda look, port, clock: found(look))
        return run("info", "--port", "/dev/ttyUSB0", "--site", str(folder / "technician"), *more)

    return look


def meet(look: Look, state: LifecycleState = LifecycleState.ACTIVE, tampered: bool = False) -> None:
    look.welcome = Welcome(1, state, tampered, "Acme", "T1", SERIAL)


def show_inventory(look: Look) -> None:
    meet(look, tampered=True)
    slot = SlotInfo("TPK", "P0", "TDES", 1, b"\x01\x02\x03")
    look.reply = Inventory(
        LifecycleState.ACTIVE, True, SERIAL, "Acme", "T1", "2.1", 7, int(LATER), (slot,), ()
    )


def test_info_shows_who_is_there_and_what_it_holds(
    look_at: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert look_at(show_inventory) == 0
    out = capsys.readouterr().out
    assert f"terminal {SERIAL} (Acme T1)\nstate    ACTIVE, TAMPERED\n" in out
    assert "software 2.1, started 7 times" in out
    assert "010203" in out
    assert look_at(show_inventory, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["serial"], said["state"], said["authenticated"]) == (SERIAL, "active", True)
    assert said["slots"][0]["kcv"] == "010203"


def test_info_of_a_retired_terminal_is_its_greeting(
    look_at: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert look_at(lambda look: meet(look, LifecycleState.RETIRED)) == 0
    assert "it has no identity to authenticate with" in capsys.readouterr().out


def test_info_of_a_terminal_that_will_not_say_is_not_taken_for_a_retired_one(
    look_at: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(look: Look) -> None:
        meet(look)
        look.refusal = Refusal.BUSY

    assert look_at(refuse) == 0
    out = capsys.readouterr().out
    assert f"does not say what it holds: {REFUSALS[Refusal.BUSY]}" in out
    assert "identity" not in out
    assert look_at(refuse, "--json") == 0
    assert json.loads(capsys.readouterr().out)["refusal"] == "busy"


@pytest.mark.parametrize(
    ("cause", "code", "exit_code"),
    [
        (LinkOver(CloseReason.TIMED_OUT), "PD-E25", Exit.LINK_LOST),
        (ChannelOver("its certificate has expired"), "PD-E27", Exit.PROTOCOL),
    ],
)
def test_info_blames_the_line_for_the_line_and_the_channel_for_the_channel(
    look_at: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    cause: LinkOver | ChannelOver,
    code: str,
    exit_code: Exit,
) -> None:
    def fail(look: Look) -> None:
        meet(look)
        look.cause = cause

    assert look_at(fail) == exit_code
    assert_three_lines(capsys, code)


def test_info_of_nobody_is_no_terminal(
    look_at: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert look_at(lambda look: None) == Exit.NO_TERMINAL
    assert_three_lines(capsys, "PD-E20", "/dev/ttyUSB0")


# --- progress ----------------------------------------------------------------------------------------------


def test_progress_is_the_jobs_own_numbers(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    clock = TickingClock()
    job = begin_job(case)
    teller = Teller(Output(), job, clock)
    teller.watch()
    teller.tell(Step.FLUSH, "begins")
    teller.watch()
    job.keep_seal(case.seal)
    for first in range(1, len(case.items) + 1):
        job.keep_items(first, [case.items[first - 1]])
        teller.watch()
        teller.watch()
    teller.tell(Step.FLUSH, "line cut, trying again")
    teller.tell(Step.FLUSH, "line cut, trying again")
    teller.tell(Step.SETTLE, "begins")
    job.keep_outcome(1, Delivered(), bytes(32))
    teller.watch()
    count = len(case.items)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "reading out ..."
    shown = [line for line in lines if "messages in custody: " in line]
    assert shown[0].startswith(f"  messages in custody: 1 of {count} (")
    assert len(shown) == count, "each number once, however often it is looked at"
    assert lines[-4:] == [
        "  line cut, trying again",
        f"  {count} messages in custody",
        "settling with the host ...",
        "  messages answered: 1",
    ]


class TickingClock:
    """Ten seconds pass with every look: no line is held back for coming too soon."""

    def __init__(self) -> None:
        self._time = LATER

    def now(self) -> float:
        self._time += 10
        return self._time


# --- the smaller parts ---------------------------------------------------------------------------------------


def test_many_notes_are_cut_short_and_no_exception_is() -> None:
    case = open_case(count=20)
    preauths = tuple(
        OpenPreauth(0, stan, 100, "270114120000", "622848", "1234", "A1B2C3") for stan in range(1, 9)
    )
    case.reseal(lambda body: replace(body, preauths=preauths))
    job = begin_job(case)
    job.keep_seal(case.seal)
    data = CaseStations(case).certify(job)
    lines = verdict_text(judge(data, ANCHORS)).splitlines()
    assert sum("open pre-authorisation" in line for line in lines) == NOTES_SHOWN_MAX
    assert "      money     ... and 3 more: posdecom explain" in lines
    assert any(line.startswith("  --  money") for line in lines)
