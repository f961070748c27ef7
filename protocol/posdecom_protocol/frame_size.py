"""How large the next frame should be: an estimate of losses per byte that forgets, and the best size under it.

A frame of L bytes with h bytes around it arrives with probability exp(-p (L + h)) when losses strike p times a byte;
what it carries per byte of line is L / (L + h) times that. The maximum is where L (L + h) = h / p.
"""

from __future__ import annotations

import math
from typing import Final

from .frames import FRAME_OVERHEAD_BYTES

MEMORY_BYTES: Final = 64 * 1024
"""Six seconds at 115,200 baud: long enough to see one loss in 64 KiB, short enough to forget an unplugged cable."""

FIRST_SIZE_BYTES: Final = 512
"""Where to begin: within 3 % of the best from a clean line down to bit errors of 1e-5."""

FIRST_LOSSES: Final = 0.25
"""How much the beginning counts: a quarter of a loss. A line that is clean is soon seen to be."""

_FIRST_BYTES_PER_LOSS: Final = (
    FIRST_SIZE_BYTES * (FIRST_SIZE_BYTES + FRAME_OVERHEAD_BYTES) / FRAME_OVERHEAD_BYTES
)


class FrameSize:
    """Body bytes for the next frame, between ``bytes_min`` and ``bytes_max``."""

    def __init__(self, bytes_min: int, bytes_max: int) -> None:
        self._bytes_min = bytes_min
        self._bytes_max = bytes_max
        self._losses = FIRST_LOSSES
        self._bytes = FIRST_LOSSES * _FIRST_BYTES_PER_LOSS
        self.value = 0
        self._choose()

    def settled(self, line_bytes: int, lost: bool) -> None:
        """One frame of ``line_bytes`` in all arrived or was lost."""
        kept = math.exp(-line_bytes / MEMORY_BYTES)
        self._bytes = self._bytes * kept + line_bytes
        self._losses = self._losses * kept + lost
        self._choose()

    def _choose(self) -> None:
        half = FRAME_OVERHEAD_BYTES / 2
        bytes_per_loss = self._bytes / max(self._losses, 1e-9)
        best = math.sqrt(half * half + FRAME_OVERHEAD_BYTES * bytes_per_loss) - half
        self.value = max(self._bytes_min, min(self._bytes_max, int(best)))
