"""The report from figures made up here: all of them stand in it, and nothing has to be fetched to read it."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from flush_matrix import CASES, Run, in_slices
from report import read, write
from report_page import Results, page

MACHINE = {
    "commit": "0123456789abcdef", "changed": False, "posdecom": "0.1.0", "python": "3.11.7",
    "packages": {"pyserial": "3.5"}, "system": "Linux", "processor": "<a processor & more>", "cores": 2, "nice": 0,
}  # fmt: skip


def result(name: str, *efficiencies: float) -> dict[str, Any]:
    case = next(case for case in CASES if case.name == name)
    runs = [
        asdict(Run(one, 20.0, 230_250, 0.1, [0.9, 1.0], 0.5, 0.08, 0.01, 0.9, 0.99)) for one in efficiencies
    ]
    return {
        "case": asdict(case), "measured_at": "2030-01-01 00:00 UTC", "machine": MACHINE, "items": 921,
        "xz_ratio": 4.0, "median": sorted(efficiencies)[len(efficiencies) // 2], "least": min(efficiencies),
        "most": max(efficiencies), "runs": runs,
    }  # fmt: skip


@pytest.fixture
def made() -> str:
    return page(
        Results(
            [
                result("115200-clean", 0.981, 0.982, 0.983),
                result("115200-ber-1e-4", 0.921, 0.922, 0.923),
                result("115200-shop", 2.31, 2.32, 2.33),
                result("115200-clean-zmodem", 0.966, 0.966, 0.967),
                result("115200-ber-1e-4-zmodem", 0.0, 0.0, 0.0),
            ]
        )
    )


def test_every_median_stands_in_it_with_its_spread_and_what_was_wanted(made: str) -> None:
    for words in ("98.2 %", "98.1 \u2013 98.3 %", "wanted 98.5 %", "92.2 %", "232.0 %", "ZMODEM 96.6 %"):
        assert words in made


def test_a_target_that_was_missed_is_said_to_be_missed(made: str) -> None:
    assert "2 of 3 targets met" in made
    assert '<td class="missed">98.2 %</td>' in made


def test_a_transfer_that_did_not_finish_is_no_zero(made: str) -> None:
    assert "ZMODEM did not finish intact" in made
    assert "ZMODEM 0.0 %" not in made


def test_the_page_fetches_nothing_and_runs_nothing(made: str) -> None:
    assert not re.search(r"<script|<link|<img|src=|href=|url\(|@import|https?:", made)


def test_every_picture_is_well_formed_and_named(made: str) -> None:
    pictures = re.findall(r"<svg.*?</svg>", made, re.S)
    assert len(pictures) == 6
    assert all(ET.fromstring(one).findtext("title") for one in pictures)


@pytest.mark.parametrize("element", ["section", "figure", "p", "div", "table", "tr", "td"])
def test_what_is_opened_is_closed(made: str, element: str) -> None:
    assert len(re.findall(f"<{element}[ >]", made)) == made.count(f"</{element}>") > 0


def test_what_the_machine_says_of_itself_is_escaped(made: str) -> None:
    assert "&lt;a processor &amp; more&gt;" in made


def test_the_report_is_made_again_from_its_own_figures(tmp_path: Path) -> None:
    first = write([result("115200-clean", 0.99)], tmp_path / "first")
    again = write(read([first.with_suffix(".json")]), tmp_path / "again")
    assert again.read_text() == first.read_text()


def test_of_two_files_the_later_one_counts(tmp_path: Path) -> None:
    for name, efficiency in (("old", 0.5), ("new", 0.99)):
        (tmp_path / name).write_text(json.dumps({"results": [result("115200-clean", efficiency)]}))
    (held,) = read([tmp_path / "old", tmp_path / "new"])
    assert held["median"] == 0.99


def test_a_rate_is_counted_where_its_bytes_came_and_only_in_whole_slices() -> None:
    pieces = [(0.1, 100), (0.4, 100), (0.6, 50), (1.2, 1000)]
    assert in_slices(pieces, 1.3, 400.0) == [1.0, 0.25]
