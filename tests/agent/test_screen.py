"""Words that others wrote (desk, USB device, file name) reach the screen as words, and never steer it."""

from __future__ import annotations

import io
import sys

import pytest

from posdecom_agent.cli.output import Output
from posdecom_agent.cli.transactions import csv_text

STEERING = ("\x1b[2J", "\x9b2J", "\r", "\x08", "\x7f", "\u202e", "\udcff")
"""Clear the screen, twice; write over the line; step back; delete; turn the direction; a byte of a file's name."""


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("found", STEERING)
def test_no_character_that_steers_a_screen_gets_into_a_result_or_talk(
    found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", result := Screen())
    monkeypatch.setattr(sys, "stderr", talk := Screen())
    output = Output()
    output.result("try", {}, f"first {found}line\nsecond")
    output.say(f"the desk says {found}no")
    assert found[0] not in result.getvalue() + talk.getvalue()
    assert result.getvalue().endswith("line\nsecond\n") and talk.getvalue().endswith("no\n")


def test_line_ends_of_a_csv_and_words_of_any_script_stay(capsys: pytest.CaptureFixture[str]) -> None:
    Output().result("try", {}, "a,b\r\nc,d\r\n终端 – é")
    assert capsys.readouterr().out == "a,b\r\nc,d\r\n终端 – é\n"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_no_name_that_a_terminal_gave_is_a_formula_in_the_merchants_list(name: str) -> None:
    row = {"acquirer": "acquirer-a", "mid": name, "amount_minor_units": 5}
    printed = csv_text([row]).splitlines()[1]
    assert printed.startswith(f"acquirer-a,'{name},") and ",5," in printed
