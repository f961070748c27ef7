"""``posdecom status``: the history of one terminal; see `history`."""

from __future__ import annotations

from .history import status as command

__all__ = ["command"]
