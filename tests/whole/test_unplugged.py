"""A real pseudo-terminal pulled out under the agent in mid-sentence, and put in again: the job finishes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from posdecom_agent.catalogue import Exit
from real_parts import RealParts

from . import struck
from .books import assert_finishes
from .plug import Plug

FIRST_BYTES = [2_500, *range(0, 12_000, 3_000)]
"""Where it is pulled out first: an undisturbed job takes 12,900 bytes."""

LATER_BYTES = (4_000, 5_000)
"""Enough for a greeting, and a little of the job."""

RUNS_MAX = 5


@pytest.mark.long
@pytest.mark.parametrize("first", FIRST_BYTES)
def test_a_line_pulled_out_under_the_agent_is_picked_up_again(first: int, tmp_path: Path) -> None:
    distances = (1 + first + struck.offset(3_000), *LATER_BYTES)
    with RealParts(tmp_path, transactions=20) as parts:
        parts.start_acquirer()
        parts.write_order()
        terminal = parts.start_terminal_on_tcp()
        with Plug(parts.tty, partial(parts.tcp_address, terminal), distances) as plug:
            for _ in range(RUNS_MAX):
                if (done := parts.retire()).returncode == Exit.DONE:
                    break
                # cut off twice before it got anywhere, it says so
                assert done.returncode == Exit.LINK_LOST, done.stderr
            assert_finishes(parts)
        print(f"pulled {plug.pulled} times in {plug.carried_bytes} bytes, first after {distances[0]}")
        assert plug.pulled
