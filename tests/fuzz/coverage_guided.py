"""One parser under a coverage-guided fuzzer, as a process of its own: ``python -m fuzz.coverage_guided NAME OPTION...``

Seeds come from a real decommission, as in the ordinary run. libFuzzer keeps what reaches new code; the input of a crash
it leaves in the working directory. Its options follow the name: ``-max_total_time=60``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path


def main(name: str, options: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["posdecom_protocol", "posdecom_agent"]):
        from fuzz.parsers import PARSERS

    parser = PARSERS[name]

    def one(data: bytes) -> None:
        parser(data)

    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(sorted(set(parser.seeds()))):
            (Path(folder) / f"{number:05d}").write_bytes(seed)
        atheris.Setup([sys.argv[0], folder, *options], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
