"""The acquirer's process killed while it books and signs, started again on the same books: each message counts once."""

from __future__ import annotations

from pathlib import Path

import pytest

from posdecom_agent.catalogue import Exit
from real_parts import LIMIT_S, RealParts

from .books import assert_finishes

Kill = tuple[str, str, int, str]

KILLS: list[Kill] = [
    ("books", "exchange", 1, "before"), ("books", "exchange", 1, "after"), ("books", "exchange", 4, "after"),
    ("books", "exchange", 4, "before"), ("books", "exchange", 7, "after"),
    ("shelf", "receipts", 1, "before"), ("shelf", "receipts", 1, "after"),
    ("shelf", "certificate", 1, "after"), ("shelf", "closure", 1, "before"), ("shelf", "closure", 1, "after"),
]  # fmt: skip
"""One job meets all of them: the answer under way is lost, before it is in the books or once it is."""


@pytest.mark.long
def test_an_acquirer_killed_at_any_commit_has_every_message_once(tmp_path: Path) -> None:
    with RealParts(tmp_path, transactions=60) as parts:
        parts.start_acquirer().kill()
        parts.wait_for_terminal(parts.start_terminal())
        parts.write_order()
        for kind, what, nth, when in KILLS:
            killed = parts.start_acquirer(kind, what, str(nth), when)
            done = parts.retire()
            assert killed.wait(LIMIT_S) == -9, f"{kind} {what} {nth} {when}: {done.stderr}"
            assert done.returncode == Exit.FLUSH_INCOMPLETE, done.stderr
        parts.start_acquirer()
        assert_finishes(parts)
