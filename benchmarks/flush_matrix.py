"""How fast a terminal is read out, end to end, on good and bad lines. From the repository:

    python benchmarks/flush_matrix.py [--case NAME ...] [--runs 3] [--out RESULT.json]

``posdecom flush`` and ``posdecom-sim terminal`` run as processes over two pseudo-terminals that ``posdecom-sim line``
joins. Efficiency = useful bytes a second, divided by baud / 10. Useful bytes are the stored records, nothing of ours
around them; the time runs from the agent's first request for items until the last item is synced to its journal, TLS,
messages and disk included. A case is sized so that it lasts about 20 s at the line rate.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from frozen_terminal import ITEM_BYTES, SERIAL, FrozenTerminal, freeze
from timed_flush import STARTED_VARIABLE

LINE_S: Final = 20.0
LIMIT_S: Final = 200.0
RATE_SLICE_S: Final = 1.0
HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    baud: int
    line: str = ""
    """Options of ``posdecom-sim line``."""
    kind: str = "noise"
    target: float = 0.0
    begin: int = 115_200
    """Where both ends begin; they raise the speed to ``baud``."""
    share: float = 1.0
    """Of the line that payload is expected to take: sizes the case."""

    @property
    def count(self) -> int:
        """Items, or transactions of a shop, of which two full batches are the most there is."""
        if self.kind == "shop":
            return 1900
        return int(LINE_S * self.baud / 10 * self.share / ITEM_BYTES)


TIMER: Final = "--usb-latency-timer 16"
OUTAGES: Final = "--outage 5:7 --outage 12:14 --outage 19:21"
CASES: Final = (
    Case("115200-clean", 115_200, target=0.985),
    Case("115200-timer", 115_200, TIMER, target=0.98),
    Case("115200-ber-1e-5", 115_200, "--ber 1e-5", target=0.92),
    Case("115200-ber-1e-4", 115_200, "--ber 1e-4", target=0.75, share=0.8),
    Case("115200-drop-1e-3", 115_200, "--drop 1e-3", target=0.70, share=0.8),
    Case("115200-outages", 115_200, OUTAGES),
    Case("115200-shop", 115_200, kind="shop", target=2.0),
    Case("921600-clean", 921_600, target=0.985),
    Case("921600-timer", 921_600, TIMER, target=0.98),
    Case("3000000-clean", 3_000_000, target=0.97),
    Case("3000000-timer", 3_000_000, TIMER, target=0.965),
)


@dataclass(frozen=True, slots=True)
class Run:
    efficiency: float
    seconds: float
    useful_bytes: int
    start_to_first_byte_s: float
    cpu_share: float
    """Of one core, by the agent, between first request and last sync."""
    disk_share: float
    """Of the time, in which the agent waited for its journal."""
    line_cpu_share: float
    terminal_cpu_share: float
    rss_max_mib: float
    rate_over_time: list[float]
    """Efficiency in slices of `RATE_SLICE_S`, as records were synced."""


def measure(case: Case, terminal: FrozenTerminal, folder: Path, seed: int) -> Run:
    left, right = folder / "left", folder / "right"
    with ExitStack() as stack:
        line = stack.enter_context(
            _server(
                "line",
                "--left",
                left,
                "--right",
                right,
                "--baud",
                case.begin,
                "--seed",
                seed,
                *case.line.split(),
            )
        )
        _wait_for(line, "right")
        device = stack.enter_context(
            _server("terminal", "--site", terminal.site, "--serial", SERIAL, "--state", terminal.state, "--port",
                    right, "--baud", case.begin, "--baud-max", case.baud)
        )  # fmt: skip
        _wait_for(device, "terminal")
        before = _cpu_s(line.pid), _cpu_s(device.pid)
        account = _flush(case, terminal, left, folder)
        seconds = account["kept_s"][-1] - account["first_request_s"]
        cpu = [(_cpu_s(one.pid) - at) / seconds for one, at in zip((line, device), before, strict=True)]
    return _run_of(case, terminal, account, cpu)


def _flush(case: Case, terminal: FrozenTerminal, port: Path, folder: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=folder) as journal:
        result = folder / "account.json"
        arguments = [
            sys.executable, HERE / "timed_flush.py", result, "flush", "--port", port, "--site",
            terminal.site / "technician", "--order", terminal.order_file, "--journal", Path(journal) / "journal",
            "--confirm-serial", SERIAL, "--baud", f"{case.begin}:{case.baud}",
        ]  # fmt: skip
        started = {STARTED_VARIABLE: str(time.monotonic())}
        done = subprocess.run(
            list(map(str, arguments)),
            env=os.environ | started,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
        if done.returncode:
            raise SystemExit(
                f"{case.name}: posdecom flush failed\n{done.stdout.decode()}{done.stderr.decode()}"
            )
        account: dict[str, Any] = json.loads(result.read_text(encoding="ascii"))
    return account


def _run_of(case: Case, terminal: FrozenTerminal, account: dict[str, Any], cpu: list[float]) -> Run:
    began, kept_s = account["first_request_s"], account["kept_s"]
    seconds = kept_s[-1] - began
    assert account["kept_items"] == terminal.item_count, "the journal does not hold every item"
    slices = [0.0] * (int(seconds / RATE_SLICE_S) + 1)
    for at, count in zip(kept_s, account["kept_bytes"], strict=True):
        slices[int((at - began) / RATE_SLICE_S)] += count
    rate = case.baud / 10
    return Run(
        efficiency=terminal.useful_bytes / seconds / rate,
        seconds=seconds,
        useful_bytes=terminal.useful_bytes,
        start_to_first_byte_s=account["first_byte_s"] - account["started_s"],
        cpu_share=(account["cpu_at_end_s"] - account["cpu_at_first_request_s"]) / seconds,
        disk_share=account["disk_s"] / seconds,
        line_cpu_share=cpu[0],
        terminal_cpu_share=cpu[1],
        rss_max_mib=account["rss_max_kib"] / 1024,
        rate_over_time=[count / RATE_SLICE_S / rate for count in slices],
    )


@contextmanager
def _server(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-u", "-m", "posdecom_simulator", *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def _wait_for(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    if not any(line.startswith(word) for line in iter(process.stdout.readline, "")):
        raise SystemExit(f"a simulator ended before it said {word!r}")


def _cpu_s(pid: int) -> float:
    """User and system time so far (proc(5), stat, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def summary(case: Case, terminal: FrozenTerminal, runs: Sequence[Run]) -> dict[str, Any]:
    efficiencies = [run.efficiency for run in runs]
    return {
        "case": asdict(case),
        "items": terminal.item_count,
        "xz_ratio": terminal.xz_ratio,
        "median": statistics.median(efficiencies),
        "least": min(efficiencies),
        "most": max(efficiencies),
        "runs": [asdict(run) for run in runs],
    }


def machine() -> dict[str, Any]:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], capture_output=True, text=True, check=False, cwd=HERE
        ).stdout.strip()

    return {
        "commit": git("rev-parse", "HEAD"),
        "changed": bool(git("status", "--porcelain", "agent", "protocol", "simulator")),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "own_rss_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, help="of line time a run, instead of 20")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        for case in CASES:
            if asked.case and case.name not in asked.case:
                continue
            folder = Path(name) / case.name
            folder.mkdir()
            count = case.count if not asked.seconds else int(case.count * asked.seconds / LINE_S)
            terminal = freeze(folder, case.kind, count)
            runs = [measure(case, terminal, folder, seed) for seed in range(1, asked.runs + 1)]
            results.append(summary(case, terminal, runs))
            _show(case, runs)
    if asked.out:
        asked.out.write_text(
            json.dumps({"machine": machine(), "results": results}, indent=1), encoding="ascii"
        )


def _show(case: Case, runs: Sequence[Run]) -> None:
    median = statistics.median(run.efficiency for run in runs)
    print(f"{case.name:18} {median:6.1%} (target {case.target:.1%}), runs "
          + " ".join(f"{run.efficiency:.1%}" for run in runs)
          + f"; {runs[0].seconds:.1f} s; agent cpu {runs[0].cpu_share:.0%}, disk {runs[0].disk_share:.0%}, "
          f"rss {runs[0].rss_max_mib:.0f} MiB, first byte {runs[0].start_to_first_byte_s * 1000:.0f} ms; "
          f"terminal cpu {runs[0].terminal_cpu_share:.0%}, line {runs[0].line_cpu_share:.0%}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
