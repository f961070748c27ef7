"""The report that people read: one HTML file, with its figures as JSON beside it. From the repository:

    python benchmarks/report.py                          measures all (half an hour), writes docs/benchmarks/flush.*
    python benchmarks/report.py --read RESULT.json ...   writes it from what `flush_matrix.py --out` measured
    python benchmarks/report.py --out FOLDER

Of several files the later one's cases count. The picture beside it, with Debian's chromium:

    chromium --headless --no-sandbox --hide-scrollbars --window-size=980,1250 \
        --screenshot=docs/benchmarks/flush.png docs/benchmarks/flush.html
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from flush_matrix import CASES
from report_page import Results, page

HERE: Final = Path(__file__).parent
NAME: Final = "flush"


def measured(out: Path) -> Path:
    """Run the whole matrix into the JSON file that the report is made of."""
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{NAME}.json"
    subprocess.run([sys.executable, HERE / "flush_matrix.py", "--out", file], check=True)
    return file


def read(files: Sequence[Path]) -> list[dict[str, Any]]:
    """The cases of all ``files`` in the order of the matrix."""
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        held = json.loads(file.read_text(encoding="utf-8"))
        found |= {one["case"]["name"]: one for one in held["results"]}
    return [found[case.name] for case in CASES if case.name in found]


def write(results: Sequence[dict[str, Any]], out: Path) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    data = json.dumps({"version": 1, "results": results}, indent=1)
    (out / f"{NAME}.json").write_text(data + "\n", encoding="utf-8")
    file = out / f"{NAME}.html"
    file.write_text(page(Results(results)), encoding="utf-8")
    return file


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--read", type=Path, nargs="+", metavar="RESULT.json")
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "benchmarks", metavar="FOLDER")
    asked = parser.parse_args()
    print(write(read(asked.read or [measured(asked.out)]), asked.out))


if __name__ == "__main__":
    main()
