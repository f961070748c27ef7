"""How long an acknowledgement takes, and from that how long silence may last before a probe goes out.

The estimate is Jacobson's as RFC 6298 section 2 writes it; the doubling is its section 5.5. Numbers are never used
twice, so every sample is clear and its rule about resent segments is not needed.
"""

from __future__ import annotations

from typing import Final

FIRST_ROUND_TRIP_S: Final = 0.2
"""Before anything was measured: two latency timers of 16 ms, a busy computer, and a frame queued at the peer."""

MARGIN_S: Final = 0.15
"""An acknowledgement may wait for the line to fall quiet (0.1 s) and for the peer to be scheduled."""

BACKED_OFF_S_MAX: Final = 1.0
"""Where most frames are lost, a dozen probes still fit into the silence after which the peer counts as gone."""


class RoundTrip:
    """Smoothed round trip, its variation, and the back-off."""

    def __init__(self) -> None:
        self._smoothed_s = FIRST_ROUND_TRIP_S
        self._variation_s = FIRST_ROUND_TRIP_S / 2
        self._measured = False
        self._doublings = 0

    @property
    def wait_s(self) -> float:
        """How long to wait for an acknowledgement, counted from when the last byte has left."""
        once = self._smoothed_s + 4 * self._variation_s + MARGIN_S
        return max(once, min(BACKED_OFF_S_MAX, once * 2.0**self._doublings))

    def measured(self, sample_s: float) -> None:
        sample_s = max(0.0, sample_s)
        if not self._measured:
            self._measured = True
            self._smoothed_s, self._variation_s = sample_s, sample_s / 2
        self._variation_s += (abs(self._smoothed_s - sample_s) - self._variation_s) / 4
        self._smoothed_s += (sample_s - self._smoothed_s) / 8

    def heard(self) -> None:
        self._doublings = 0

    def unheard(self) -> None:
        """A wait ended without an acknowledgement. Sixteen doublings are far beyond `BACKED_OFF_S_MAX`."""
        self._doublings = min(16, self._doublings + 1)
