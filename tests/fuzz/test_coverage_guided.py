"""Each parser for a while under libFuzzer: ``pytest -m fuzz``, POSDECOM_FUZZ_S seconds a parser (60 by default)."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .parsers import PARSERS

SECONDS = int(os.environ.get("POSDECOM_FUZZ_S", "60"))
RSS_MIB_MAX = 512


@pytest.mark.fuzz
@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed: pip install atheris"
)
@pytest.mark.parametrize("name", PARSERS)
def test_no_input_that_the_fuzzer_finds_breaks_a_parser(name: str, tmp_path: Path) -> None:
    limits = [f"-max_total_time={SECONDS}", f"-rss_limit_mb={RSS_MIB_MAX}", "-timeout=10", "-verbosity=0"]
    tests = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.coverage_guided", name, *limits],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([tests, *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert not list(tmp_path.iterdir())
