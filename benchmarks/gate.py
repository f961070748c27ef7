"""Has a layer become slower than its floor allows? For noisy machines: no time is compared, only ratios inside one run.

    python benchmarks/gate.py                 compares with benchmarks/gate.json; exit code 1 where a layer is slower
    python benchmarks/gate.py --write         takes what is measured now as the baseline, for a change that is meant
    python benchmarks/gate.py --plant LAYER   slows that layer by 20 %, to see that it is found

Each layer runs in turn with its floor, the bare primitive that does the same work, in slices of some milliseconds, and
both are counted in processor time of this thread: what other programs take is not in it, and what they do to caches and
clocks strikes both. A process's figure is the median over `ROUNDS` of layer / floor. Where things lie in memory differs
from one process to the next, so the median of `PROCESSES` counts. A layer is slower when that is more than `TOLERANCE`
above the baseline, twice.

A ratio depends on the interpreter and the processor: the baseline names both, and elsewhere nothing is judged. There,
write a baseline from the version before the change, and compare the change with that.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

HERE: Final = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))

from processes import processor  # noqa: E402 - the line above makes it possible
from test_bench_dukpt import AES_USAGES, COUNTERS, INITIAL_KEY, INITIAL_KEY_ID  # noqa: E402
from test_bench_frames import BODIES, by_struct, decoded, ours  # noqa: E402
from test_bench_journal import chain_alone, in_memory  # noqa: E402
from test_bench_link import frames_alone, transfer  # noqa: E402

from posdecom_protocol.aes_dukpt import HostDukpt, Ksn  # noqa: E402
from posdecom_protocol.secret import Secret  # noqa: E402

BASELINE: Final = HERE / "gate.json"
TOLERANCE: Final = 0.10
PLANTED: Final = 0.20
ROUNDS: Final = 150
PROCESSES: Final = 3
PROCESSES_OF_BASELINE: Final = 7
SLICE_S: Final = 0.003

Work = Callable[[], object]
Layers = Mapping[str, tuple[Work, Work]]
"""Name: (layer, floor)."""


def layers() -> Layers:
    """Not the channel: OpenSSL's share of it swings by 15 % with what else the machine does."""
    body = BODIES[1024]
    frame = ours(body)
    return {
        "frame encode / struct": (often(lambda: ours(body)), often(lambda: by_struct(body))),
        "frame decode / struct": (often(lambda: decoded(frame)), often(lambda: by_struct(body))),
        "link / its frames": (transfer, frames_alone),
        "journal / its chain": (lambda: in_memory(4), lambda: chain_alone(4)),
        "DUKPT keys / AES": (derived_keys, derived_blocks),
    }


def often(work: Work, times: int = 50) -> Work:
    """Long enough for the clock."""

    def repeated() -> None:
        for _ in range(times):
            work()

    return repeated


def derived_keys() -> None:
    host = HostDukpt(Secret(INITIAL_KEY), INITIAL_KEY_ID)
    for counter in COUNTERS[:50]:
        host.working_keys(Ksn(INITIAL_KEY_ID, counter), AES_USAGES)


def derived_blocks() -> None:
    parent = Cipher(AES(INITIAL_KEY), ECB()).encryptor()
    for _ in range(50):
        Cipher(AES(parent.update(bytes(16))), ECB()).encryptor().update(bytes(32))


def slowed(work: Work, share: float = PLANTED) -> Work:
    """``work`` that takes ``share`` more of the processor."""

    def slow() -> object:
        began = time.thread_time()
        result = work()
        until = began + (time.thread_time() - began) * (1 + share)
        while time.thread_time() < until:
            pass
        return result

    return slow


def ratio(layer: Work, floor: Work, rounds: int = ROUNDS) -> float:
    """Median over ``rounds`` of what the layer takes of the processor, in the unit of its floor."""
    counts = calls(layer), calls(floor)
    pairs = ((cost(layer, counts[0]), cost(floor, counts[1])) for _ in range(rounds))
    return statistics.median(mine / least for mine, least in pairs)


def calls(work: Work) -> int:
    """How many fill a slice."""
    return max(1, int(SLICE_S / min(cost(work, 3) for _ in range(5))))


def cost(work: Work, count: int) -> float:
    """Processor seconds of one call."""
    began = time.thread_time()
    for _ in range(count):
        work()
    return (time.thread_time() - began) / count


def machine() -> str:
    return f"{platform.python_implementation()} {platform.python_version()} on {processor()}"


def measure(planted: Sequence[str] = ()) -> dict[str, float]:
    """Each layer's figure in this process."""
    return {
        layer: ratio(slowed(mine) if layer in planted or "all" in planted else mine, floor)
        for layer, (mine, floor) in layers().items()
    }


def measure_apart(processes: int, planted: Sequence[str] = ()) -> dict[str, float]:
    """The median of each layer's figure over so many processes."""
    command = [sys.executable, __file__, "--measure", *(f"--plant={layer}" for layer in planted)]
    found = [
        json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(processes)
    ]
    return {layer: statistics.median(one[layer] for one in found) for layer in found[0]}


def judge(found: Mapping[str, float], baseline: Mapping[str, float]) -> bool:
    """Whether every layer is as fast as it was; says so of each."""
    slower = [name for name in baseline if found[name] > baseline[name] * (1 + TOLERANCE)]
    for name, wanted in baseline.items():
        difference = found[name] / wanted - 1
        words = "   SLOWER" * (name in slower)
        print(f"{name:24} {found[name]:7.3f}   baseline {wanted:7.3f}   {difference:+6.1%}{words}")
    return not slower


def write(file: Path) -> None:
    found = measure_apart(PROCESSES_OF_BASELINE)
    ratios = {name: round(figure, 3) for name, figure in found.items()}
    file.write_text(json.dumps({"machine": machine(), "ratios": ratios}, indent=1) + "\n", encoding="utf-8")
    print(file.read_text(encoding="utf-8"), end="")


def compare(file: Path, planted: Sequence[str]) -> int:
    held = json.loads(file.read_text(encoding="utf-8"))
    if held["machine"] != machine():
        print(f"nothing to compare: the baseline is of {held['machine']}, this is {machine()}; see --help")
        return 0
    found = measure_apart(PROCESSES, planted)
    if not judge(found, held["ratios"]):
        print("once more; the lower of both counts")
        again = measure_apart(PROCESSES, planted)
        found = {name: min(figure, again[name]) for name, figure in found.items()}
        return int(not judge(found, held["ratios"]))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--plant", action="append", default=[], metavar="LAYER", help="or: all")
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    parser.add_argument("--measure", action="store_true", help="one process's figures as JSON")
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked.plant)))
        return 0
    if asked.write:
        write(asked.baseline)
        return 0
    return compare(asked.baseline, asked.plant)


if __name__ == "__main__":
    sys.exit(main())
