"""How much memory the agent needs to settle a large terminal. Prints one line; run it from the repository:

    PYTHONPATH=tests python benchmarks/settlement_memory.py [TRANSACTIONS]

The job's journal is made here, with every transaction in custody. Then ``posdecom settle`` runs as a process of its own
against this process, which is host and desk; its peak resident memory is what the kernel says of it. A desk that needs
longer than the agent waits has signed when it is asked again: the command is run until it succeeds.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from document_chain import ANCHORS
from posdecom_agent.job import Job
from posdecom_agent.journal import SqliteJournal
from posdecom_protocol.limits import RECORDS_PER_CONTEXT_MAX
from posdecom_simulator.acquirer.behaviour import Behaviour
from posdecom_simulator.acquirer.delivery import Delivery, deliver
from posdecom_simulator.acquirer.desk import Answer, Desk
from posdecom_simulator.acquirer.serve import _DeskServer, _HostServer
from posdecom_simulator.terminal.device import Context
from release_case import LATER, Case, open_case

TRANSACTIONS: Final = 20_000
ITEMS_PER_WRITE: Final = 256
RUNS_MAX: Final = 10


class Clerk:
    """Host and desk of one case, one call after the other."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._lock = threading.Lock()

    def host_hears(self, message: bytes) -> Delivery:
        with self._lock:
            return deliver(self._case.host, Behaviour(), message, LATER)

    def desk_answer(self, call: Callable[[Desk], Answer]) -> Answer:
        with self._lock:
            return call(self._case.desk)


def contexts_for(transactions: int) -> tuple[Context, ...]:
    """As many as it takes, nine tenths full."""
    count = -(-transactions // (RECORDS_PER_CONTEXT_MAX * 9 // 10))
    return tuple(
        Context(index, "acquirer-a", "123456789012345", f"TERM{index:04d}", 156, 24, "cup")
        for index in range(count)
    )


def custody(case: Case, folder: Path) -> Path:
    path = folder / "jobs" / "one.journal"
    journal = SqliteJournal.open(path)
    job = Job(journal)
    job.begin(case.order)
    job.keep_seal(case.seal)
    for start in range(0, len(case.items), ITEMS_PER_WRITE):
        job.keep_items(start + 1, case.items[start : start + ITEMS_PER_WRITE])
    journal.close()
    return path


def address(server: Any) -> str:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host, port = server.server_address[:2]
    return f"{host}:{port}"


def main(transactions: int) -> None:
    case = open_case(1, transactions, contexts=contexts_for(transactions))
    clerk: Any = Clerk(case)
    desk: ThreadingHTTPServer = _DeskServer(("127.0.0.1", 0), clerk)
    with TemporaryDirectory() as folder:
        journal, trust = custody(case, Path(folder)), Path(folder) / "trust.pem"
        trust.write_bytes(ANCHORS.pem())
        started = time.monotonic()
        settle = [
            sys.executable, "-m", "posdecom_agent", "settle", "--quiet", "--journal", str(journal), "--host",
            address(_HostServer(("127.0.0.1", 0), clerk)), "--desk", f"http://{address(desk)}",
            "--trust", str(trust),
        ]  # fmt: skip
        runs = 1
        while subprocess.run(settle, check=False).returncode != 0:
            runs += 1
            assert runs <= RUNS_MAX, "it does not settle"
        seconds = time.monotonic() - started
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"{transactions} transactions in {len(case.contexts)} contexts, {len(case.items)} messages: "
        f"peak {peak_mib:.0f} MiB, {seconds:.0f} s in {runs} runs"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TRANSACTIONS)
