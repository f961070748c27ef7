"""The table of planted bugs stays true: each place is still in the source, each row on the page."""

from __future__ import annotations

import pytest

from planted.bugs import BUGS, Bug
from planted.run import PAGE, ROOT, planted


def test_each_bug_has_a_name_of_its_own() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_place_of_a_bug_is_in_the_source_once_and_what_is_planted_there_is_python(bug: Bug) -> None:
    compile(planted(ROOT, bug), bug.file, "exec")
    assert (ROOT / bug.suite).exists()


def test_the_page_lists_each_bug_and_none_went_unnoticed() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [bug.name for bug in BUGS if f"| {bug.name} | `{bug.file}` |" not in page] == []
    assert "**nothing**" not in page
