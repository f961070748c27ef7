"""When the next frame may be handed out, so that what was handed out is on the line and not in a kernel's buffer.

A kernel takes many kilobytes without a word; what waits there can no longer be reordered, replaced or taken back, and
every acknowledgement queues behind it. So at most about two frames are ahead of the line.
"""

from __future__ import annotations

import math
from typing import Final

from .frames import FRAME_OVERHEAD_BYTES
from .greeting import FRAME_BODY_BYTES_MIN
from .limits import FRAME_BODY_BYTES_MAX
from .waits import QUIET_S

FRAME_S: Final = 0.4
"""No frame lasts longer on the line than the largest at 115,200 baud: acknowledgements wait behind frames."""

LEAD_S_MIN: Final = 0.03
"""Wake-ups of a loaded computer and 16 ms timers of USB adapters come late by this much; the line must not fall dry."""

QUIET_BYTES: Final = 128
"""Two packets of a USB adapter, which may hand over nothing less on a slow line."""


class Pace:
    """The clock of one direction of a line. Without a rate it never holds anything back."""

    def __init__(self, line_rate_bytes_per_s: float | None) -> None:
        self._seconds_per_byte = 0.0 if line_rate_bytes_per_s is None else 1 / line_rate_bytes_per_s
        self.frame_body_bytes_max = _frame_body_bytes_max(line_rate_bytes_per_s)
        """What a frame should not exceed on this line."""
        self.quiet_s = max(QUIET_S, QUIET_BYTES * self._seconds_per_byte)
        """After so long without a byte the line is quiet."""
        frame_s = (self.frame_body_bytes_max + FRAME_OVERHEAD_BYTES) * self._seconds_per_byte
        self._lead_s = max(frame_s, LEAD_S_MIN)
        self.busy_until = -math.inf
        """When the last byte that was handed out will have left."""

    @property
    def opens_at(self) -> float:
        """From then on the next frame may be handed out: what is ahead of it is at most one frame, or the lead."""
        return self.busy_until - self._lead_s

    def handed_out(self, byte_count: int, now: float) -> None:
        self.busy_until = max(self.busy_until, now) + byte_count * self._seconds_per_byte


def _frame_body_bytes_max(line_rate_bytes_per_s: float | None) -> int:
    if line_rate_bytes_per_s is None:
        return FRAME_BODY_BYTES_MAX
    return max(FRAME_BODY_BYTES_MIN, min(FRAME_BODY_BYTES_MAX, int(line_rate_bytes_per_s * FRAME_S)))
