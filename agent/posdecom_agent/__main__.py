"""``python -m posdecom_agent``: the same as ``posdecom``."""

from __future__ import annotations

from .cli import main

main()
