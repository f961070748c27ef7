"""Where a terminal hangs: the port, and the speeds that terminal and cable can be asked for."""

from __future__ import annotations

from dataclasses import dataclass

from posdecom_protocol.speed_raise import BITS_PER_BYTE, Speeds

from .ports import BAUD_DEFAULT


@dataclass(frozen=True, slots=True)
class SerialLine:
    """Where the terminal hangs."""

    url: str
    reopen_s: float = 15.0
    """A terminal that restarts takes its port away with it; so does a plug that somebody puts back."""
    baud: int = BAUD_DEFAULT
    """Where the terminal listens."""
    baud_max: int = BAUD_DEFAULT
    """Where its speed may be raised to."""

    @property
    def rate_bytes_per_s(self) -> float | None:
        """None for a pipe, which is as fast as it goes."""
        return None if self.url.startswith("socket://") else self.baud / BITS_PER_BYTE

    @property
    def speeds(self) -> Speeds | None:
        """None for a pipe, too."""
        return None if self.url.startswith("socket://") else Speeds(self.baud, self.baud_max)
