"""``python -m posdecom_simulator``: the same as ``posdecom-sim``."""

from __future__ import annotations

from .cli import main

main()
