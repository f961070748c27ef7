"""Every wait of a `Link`, in seconds, each with its reason."""

from __future__ import annotations

from typing import Final

HELLO_REPEAT_S: Final = 0.3
"""Longer than the answer takes at 9,600 baud over an adapter with a 16 ms timer."""

HELLO_REPEAT_S_MAX: Final = 2.0
HELLO_ANSWER_S: Final = 20.0
"""A terminal that boots, or that finishes a started erase before it answers, takes seconds."""

QUIET_S: Final = 0.1
"""Six latency timers of 16 ms: an incomplete frame after this long is noise, or lost bytes."""

KEEPALIVE_S: Final = 2.0
"""An ACK goes out at least so often, whatever else is sent: it is small, and it opens a forgotten window."""

SILENCE_S: Final = 12.0
"""Five keep-alives in a row do not get lost by chance, nor does a person replug a cable unnoticed for longer."""

CLOSE_REPEAT_S: Final = 0.5
CLOSE_S: Final = 10.0
"""Time for what is queued, then for CLOSE and its answer. A peer that closes late finds nobody, and stays closed."""
