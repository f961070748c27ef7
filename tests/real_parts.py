"""Real processes for tests: a demo site, an acquirer and a terminal, and the commands a technician would type.

Nothing here waits by the clock: a process says when it is ready; a wait has a limit only so that no test hangs.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from posdecom_protocol.documents import issue
from posdecom_protocol.documents.order import (
    Action,
    AfterCutoff,
    Mode,
    Order,
    Preauths,
    Reason,
)
from posdecom_simulator.provision import provision
from posdecom_simulator.site import AcquirerSite, SiteTerminal

LIMIT_S = 60
SERIAL = "PD-000001"
KILLED = Path(__file__).parent / "whole" / "killed.py"


@dataclass
class RealParts:
    """One site with its processes. A context manager: nothing it started survives it."""

    folder: Path
    transactions: int = 20
    seed: int = 1
    dialects: tuple[str, ...] = ("cup",)
    acquirer_options: tuple[object, ...] = ()
    """Of ``posdecom-sim acquirer``, beside what it needs."""
    terminals: int = 1
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    host: str = ""
    desk: str = ""

    def __post_init__(self) -> None:
        provision(self.site, self.terminals, seed=self.seed, now=time.time(), dialects=self.dialects)

    def __enter__(self) -> RealParts:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()

    # --- places ----------------------------------------------------------------------------------

    @property
    def site(self) -> Path:
        return self.folder / "site"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    @property
    def tty(self) -> Path:
        return self.folder / "tty"

    @property
    def order_file(self) -> Path:
        return self.folder / "order.cose"

    # --- processes -------------------------------------------------------------------------------

    def start_acquirer(self, *killed: str) -> subprocess.Popen[str]:
        """Where it was before, if it was; with ``killed`` it ends itself there (see whole/killed.py)."""
        process = self._start(
            ["posdecom_simulator", "acquirer", "--site", self.site, "--host",
             self.host.removeprefix("tls://") or "127.0.0.1:0", "--desk",
             self.desk.removeprefix("http://") or "127.0.0.1:0", "--state", self.folder / "acquirer",
             *self.acquirer_options],
            killed,
        )  # fmt: skip
        self.host, self.desk = self._line(process, "host"), self._line(process, "desk")
        return process

    def start_terminal(self, *killed: str, record_secrets: Path | None = None) -> subprocess.Popen[str]:
        """The terminal on a pseudo-terminal; with ``killed`` it ends itself there (see whole/killed.py)."""
        record = [] if record_secrets is None else ["--record-secrets", record_secrets]
        return self._start(
            ["posdecom_simulator", "terminal", "--site", self.site, "--serial", SERIAL, "--pty", "--link", self.tty,
             "--state", self.folder / "terminal", "--transactions", self.transactions, "--seed", self.seed,
             *record],
            killed,
        )  # fmt: skip

    def start_terminal_on_tcp(self) -> subprocess.Popen[str]:
        """The terminal behind a port of this machine, another one after each restart: `tcp_address`."""
        return self._start(
            ["posdecom_simulator", "terminal", "--site", self.site, "--serial", SERIAL, "--tcp", "127.0.0.1:0",
             "--state", self.folder / "terminal", "--transactions", self.transactions, "--seed", self.seed]
        )  # fmt: skip

    def tcp_address(self, terminal: subprocess.Popen[str]) -> tuple[str, int]:
        """Where it listens, as soon as it says so; once for each of its starts."""
        host, _, port = self._line(terminal, "terminal").rpartition("//")[2].rpartition(":")
        return host, int(port)

    def start_another(self, serial: str, link: Path) -> subprocess.Popen[str]:
        """One more terminal of the site, that has not traded yet."""
        return self._start(
            ["posdecom_simulator", "terminal", "--site", self.site, "--serial", serial, "--pty", "--link", link,
             "--state", self.folder / serial, "--transactions", 0]
        )  # fmt: skip

    def wait_for_terminal(self, process: subprocess.Popen[str]) -> None:
        self._line(process, "terminal")

    def comes_up(self, process: subprocess.Popen[str]) -> bool:
        """Whether a terminal that may end itself at its start gets as far as to answer."""
        assert process.stdout is not None
        return any(line.startswith("terminal ") for line in iter(process.stdout.readline, ""))

    def write_order(
        self, counter: int = 1, serial: str = SERIAL, valid_s: int = 3600, age_s: int = 0, **changes: Any
    ) -> Order:
        """Sign an order into `order_file`."""
        settings = SiteTerminal.load(self.site / "terminals" / SERIAL).settings
        now = int(time.time()) - age_s
        order = Order(
            order_id=f"{serial}-{counter}",
            counter=counter,
            issued_at=now,
            not_before=now - 60,
            not_after=now + valid_s,
            serial=serial,
            accounts=tuple(context.account for context in settings.contexts),
            reason=Reason.CLOSING,
            mode=Mode.RETIRE,
            cutoff_at=now,
            after_cutoff=AfterCutoff.REFUND,
            preauths=Preauths.LIST,
            actions=(Action.FLUSH, Action.ERASE),
            issuer="Demo Acquirer",
        )
        order = replace(order, **changes)
        self.order_file.write_bytes(
            issue(order, AcquirerSite.load(self.site / "acquirer").order.signing_key())
        )
        return order

    def retire(
        self,
        *killed: str,
        confirm: str = SERIAL,
        port: str | None = None,
        reconnect_s: float = 15.0,
        file_bytes_max: int | None = None,
        before: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """``posdecom retire`` to its end; with ``killed`` it ends itself somewhere (see whole/killed.py).

        ``before``: the start of a command that runs it, such as strace.
        """
        arguments = [
            "posdecom_agent", "retire", "--port", port or self.tty, "--site", self.site / "technician",
            "--order", self.order_file, "--host", self.host, "--desk", self.desk, "--journal", self.journal,
            "--out", self.out, "--confirm-serial", confirm, "--json",
            "--reconnect-timeout", reconnect_s,
        ]  # fmt: skip
        limit = ["prlimit", f"--fsize={file_bytes_max}"] if file_bytes_max is not None else []
        return self.run(arguments, killed, [*before, *limit])

    def run(
        self, arguments: Sequence[object], killed: Sequence[str] = (), before: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*before, *_command(arguments, killed)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=LIMIT_S,
            check=False,
        )

    # --- private ---------------------------------------------------------------------------------

    def _start(self, arguments: Sequence[object], killed: Sequence[str] = ()) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            _command(arguments, killed), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        self.processes.append(process)
        return process

    def _line(self, process: subprocess.Popen[str], word: str) -> str:
        assert process.stdout is not None
        for line in process.stdout:
            first, _, rest = line.strip().partition(" ")
            if first == word:
                return rest
        raise AssertionError(f"the process ended before it said {word!r}")


def _command(arguments: Sequence[object], killed: Sequence[str]) -> list[str]:
    start = [sys.executable, "-u", str(KILLED), *killed, "--"] if killed else [sys.executable, "-u", "-m"]
    return [*start, *map(str, arguments)]
