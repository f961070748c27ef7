"""A port is known by its adapter, never by its name; nothing is guessed, and no stranger is written to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import posdecom_agent.cli.choice as choice
from posdecom_agent import catalogue
from posdecom_agent.adapters import SamePort, likely, selected
from posdecom_agent.cli.output import Output
from posdecom_agent.ports import PortInfo
from posdecom_agent.trouble import Trouble

FIRST = PortInfo("/dev/ttyUSB0", "FT232R", 0x0403, 0x6001, "POS0001", "1-4.3", accessible=True)
SECOND = replace(FIRST, device="/dev/ttyUSB1", serial_number="POS0002", location="1-4.4")
BUILT_IN = PortInfo("/dev/ttyS0", "", None, None, None, None, accessible=True)
MODEM = PortInfo("/dev/ttyUSB2", "LTE modem", 0x12D1, 0x1506, "X", "1-2", accessible=True)


def find(monkeypatch: pytest.MonkeyPatch, found: list[PortInfo], select: str | None = None) -> str:
    monkeypatch.setattr(choice, "candidates", lambda: found)
    return choice.find_port(Output(), None, select)


def nobody(device: str) -> str | None:
    raise AssertionError(f"{device} was written to")


def test_only_known_adapters_may_be_a_terminal() -> None:
    assert likely([BUILT_IN, MODEM, FIRST]) == [FIRST]


def test_the_only_known_adapter_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(monkeypatch, [BUILT_IN, MODEM, FIRST]) == "/dev/ttyUSB0"


def test_a_port_that_is_named_is_taken_whatever_it_is() -> None:
    assert choice.find_port(Output(), "/dev/ttyS0", None) == "/dev/ttyS0"


@pytest.mark.parametrize("found", [[], [BUILT_IN], [BUILT_IN, MODEM]])
def test_without_a_known_adapter_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, found: list[PortInfo]
) -> None:
    with pytest.raises(Trouble) as caught:
        find(monkeypatch, found)
    assert caught.value.entry is catalogue.NO_TERMINAL


def test_two_are_a_table_and_an_exit_and_never_a_guess(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Trouble) as caught:
        find(monkeypatch, [FIRST, SECOND])
    assert caught.value.entry is catalogue.SEVERAL_CANDIDATES
    title, *rows = capsys.readouterr().err.splitlines()
    assert title.split()[0] == "PORT"
    assert [row.split()[2] for row in rows] == ["POS0001", "POS0002"]


@pytest.mark.parametrize("wanted", ["POS0002", "1-4.4", "/dev/ttyUSB1"])
def test_adapter_serial_usb_path_and_name_select_without_a_byte(wanted: str) -> None:
    assert selected([FIRST, SECOND], wanted) == [SECOND]
    assert choice.picked([FIRST, SECOND], wanted, nobody) == [SECOND]


def test_a_terminals_serial_is_asked_for_on_known_adapters_alone() -> None:
    asked: list[str] = []

    def who(device: str) -> str | None:
        asked.append(device)
        return {"/dev/ttyUSB0": "T-1", "/dev/ttyUSB1": "T-2"}.get(device)

    assert choice.picked([BUILT_IN, FIRST, MODEM, SECOND], "T-2", who) == [SECOND]
    assert asked == ["/dev/ttyUSB0", "/dev/ttyUSB1"]


def same_port(tmp_path: Path, *before_and_after: list[PortInfo]) -> str:
    """The name of ``tmp_path / 'tty'`` after it went away."""
    lists = iter(before_and_after)
    port = SamePort(str(tmp_path / "tty"), lambda: next(lists))
    return port.url()


def test_a_replugged_adapter_is_found_under_its_new_name(tmp_path: Path) -> None:
    before = replace(FIRST, device=str(tmp_path / "tty"))
    assert (
        same_port(tmp_path, [before, SECOND], [SECOND, replace(FIRST, device="/dev/ttyUSB8")])
        == "/dev/ttyUSB8"
    )


def test_an_adapter_without_serial_is_the_same_in_the_same_socket_alone(tmp_path: Path) -> None:
    before = replace(FIRST, device=str(tmp_path / "tty"), serial_number=None)
    again = replace(before, device="/dev/ttyUSB8")
    assert same_port(tmp_path, [before], [again]) == "/dev/ttyUSB8"
    assert same_port(tmp_path, [before], [replace(again, location="1-9")]) == str(tmp_path / "tty")


def test_twins_are_not_guessed_apart(tmp_path: Path) -> None:
    before = replace(FIRST, device=str(tmp_path / "tty"))
    twins = [replace(FIRST, device="/dev/ttyUSB7"), replace(FIRST, device="/dev/ttyUSB8")]
    assert same_port(tmp_path, [before], twins) == str(tmp_path / "tty")


def test_a_port_that_is_still_there_is_looked_for_nowhere(tmp_path: Path) -> None:
    (tmp_path / "tty").touch()
    assert same_port(tmp_path, [replace(FIRST, device=str(tmp_path / "tty"))]) == str(tmp_path / "tty")
