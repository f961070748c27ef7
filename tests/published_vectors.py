"""The published test values that stand beside the repository in CI; tests that need them are skipped without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

FOLDER: Final = Path(__file__).parents[1].parent / "shared" / "vectors"


def published(name: str) -> Any:
    """The parsed file ``name``; skips the calling test where the folder is not there."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"published vectors are not beside this checkout: {name}")
    return json.loads(path.read_text("utf-8"))
