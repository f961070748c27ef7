"""A host behind TLS: the agent's part against the simulated acquirer's, over real sockets, and against impostors."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from posdecom_agent.catalogue import Exit
from posdecom_agent.host import CONNECTS_MAX, HostAddress, settle
from posdecom_agent.job import Job
from posdecom_agent.line import WallClock
from posdecom_agent.procedure import Unreachable
from posdecom_agent.settlement import Finished
from posdecom_agent.site import SiteError
from posdecom_agent.trouble import trouble_from
from posdecom_protocol.errors import HostUntrusted
from posdecom_simulator.acquirer.behaviour import Behaviour
from posdecom_simulator.acquirer.delivery import Delivery, deliver
from posdecom_simulator.acquirer.host_tls import server_context
from posdecom_simulator.acquirer.serve import _HostServer
from posdecom_simulator.authority import Authority, Subject, Validity, key_pem, new_key
from posdecom_simulator.provision import seeded
from posdecom_simulator.toml_table import SiteError as SimulatorSiteError
from release_case import LATER, Case, begin_job, open_case

ALWAYS = Validity(0, 4_000_000_000)
LONG_AGO = Validity(0, 1_000_000_000)


@dataclass
class CaseClerk:
    case: Case

    def host_hears(self, message: bytes) -> Delivery:
        return deliver(self.case.host, Behaviour(), message, LATER)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Path]:
    made = Authority.create_for_tls("Network", ALWAYS, seeded(1))
    path = tmp_path_factory.mktemp("ca") / "host_ca.pem"
    path.write_bytes(made.pem())
    return made, path


def certified(
    authority: Authority,
    folder: Path,
    names: tuple[str, ...] = ("localhost", "127.0.0.1"),
    valid: Validity = ALWAYS,
    common_name: str = "host",
) -> ssl.SSLContext:
    """The server's side with a certificate for these names."""
    key = new_key(seeded(2))
    leaf = authority.issue_for_tls(key.public_key(), Subject(common_name), names, valid)
    (folder / "host.key").write_bytes(key_pem(key))
    (folder / "host.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    return server_context(folder)


@contextmanager
def serving(case: Case, tls: ssl.SSLContext | None) -> Iterator[int]:
    """The acquirer's own server; its port."""
    clerk: Any = CaseClerk(case)
    with _HostServer(("127.0.0.1", 0), clerk, tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def in_custody(case: Case) -> Job:
    job = begin_job(case)
    job.keep_seal(case.seal)
    job.keep_items(1, case.items)
    return job


def settle_over(text: str, ca_file: Path | None, case: Case, job: Job) -> Any:
    address = HostAddress.parse(text, ca_file)
    return settle(job, case.context(0), address, WallClock(), lambda seconds: None)


# --- addresses


def test_an_address_may_ask_for_tls_and_then_needs_a_ca() -> None:
    address = HostAddress.parse("tls://host.example:5000", Path("host_ca.pem"))
    assert address == HostAddress("host.example", 5000, Path("host_ca.pem"))
    assert str(address) == "tls://host.example:5000"
    assert HostAddress.parse("tls://[::1]:5", Path("ca")).host == "::1"
    assert HostAddress.parse("host.example:5000", Path("host_ca.pem")).ca_file is None
    with pytest.raises(ValueError, match="needs the CA that vouches for the host"):
        HostAddress.parse("tls://host.example:5000")
    for wrong in ("tls://", "tls://host", "ssl://host:1", "TLS://host:1"):
        with pytest.raises(ValueError, match="an address is HOST:PORT or tls://HOST:PORT"):
            HostAddress.parse(wrong, Path("ca"))


# --- with the right host


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_context_is_settled_over_tls(authority: tuple[Authority, Path], tmp_path: Path, name: str) -> None:
    case = open_case(count=30)
    job = in_custody(case)
    with serving(case, certified(authority[0], tmp_path)) as port:
        assert settle_over(f"tls://{name}:{port}", authority[1], case, job) == Finished()
    assert len(job.outcomes()) > 3


# --- with impostors


def assert_untrusted(text: str, ca_file: Path, case: Case, reason: str) -> None:
    job = in_custody(case)
    with pytest.raises(HostUntrusted, match=reason) as caught:
        settle_over(text, ca_file, case, job)
    assert job.outcomes() == {}
    trouble = trouble_from(caught.value)
    assert (trouble.entry.code, trouble.exit) == ("PD-E58", Exit.FLUSH_INCOMPLETE)
    what, why, todo = trouble.lines()
    assert what.startswith("error[PD-E58]: ")
    assert re.search(reason, why)
    assert "host_ca.pem" in todo


def test_a_certificate_of_another_ca_is_named_at_once_and_nothing_is_sent(
    authority: tuple[Authority, Path], tmp_path: Path
) -> None:
    case = open_case()
    other = Authority.create_for_tls("Another network", ALWAYS, seeded(9))
    with serving(case, certified(other, tmp_path)) as port:
        assert_untrusted(
            f"tls://127.0.0.1:{port}", authority[1], case, "127.0.0.1 is not trusted: unable to get"
        )
    assert not list(case.ledger.alarms)


def test_a_certificate_for_another_name_or_time_is_refused(
    authority: tuple[Authority, Path], tmp_path: Path
) -> None:
    case = open_case()
    with serving(case, certified(authority[0], tmp_path, ("other.example",))) as port:
        assert_untrusted(f"tls://localhost:{port}", authority[1], case, "(?i)hostname mismatch")
        assert_untrusted(f"tls://127.0.0.1:{port}", authority[1], case, "(?i)IP address mismatch")
    with serving(case, certified(authority[0], tmp_path, valid=LONG_AGO)) as port:
        assert_untrusted(f"tls://localhost:{port}", authority[1], case, "expired")


def test_a_common_name_is_nobodys_host_name(authority: tuple[Authority, Path], tmp_path: Path) -> None:
    """RFC 9525 section 2: only the subjectAltName counts."""
    case = open_case()
    with serving(case, certified(authority[0], tmp_path, (), common_name="localhost")) as port:
        assert_untrusted(f"tls://localhost:{port}", authority[1], case, "(?i)hostname mismatch")


def test_there_is_no_way_back_to_the_clear(authority: tuple[Authority, Path], tmp_path: Path) -> None:
    """Neither side understands the other, and the job waits."""
    case = open_case()
    job = in_custody(case)
    with serving(case, None) as port:
        end = settle_over(f"tls://localhost:{port}", authority[1], case, job)
        assert isinstance(end, Unreachable)
        assert str(end.reason).startswith(f"tls://localhost:{port}: ")
    with serving(case, certified(authority[0], tmp_path)) as port:
        end = settle_over(f"localhost:{port}", None, case, job)
    assert not isinstance(end, Finished)
    assert job.outcomes() == {}
    assert CONNECTS_MAX > 1


def test_what_speaks_something_else_than_tls_is_named(authority: tuple[Authority, Path]) -> None:
    case = open_case()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            for _ in range(CONNECTS_MAX):
                connection, _address = listener.accept()
                with connection:
                    connection.sendall(b"220 mail.example ESMTP\r\n")
                    connection.recv(4096)

        thread = threading.Thread(target=greet)
        thread.start()
        address = f"tls://localhost:{listener.getsockname()[1]}"
        end = settle_over(address, authority[1], case, in_custody(case))
        thread.join()
    assert isinstance(end, Unreachable)
    assert str(end.reason).startswith(f"{address}: no TLS there: ")


def test_a_ca_file_that_is_none_is_named(tmp_path: Path, authority: tuple[Authority, Path]) -> None:
    case = open_case()
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate", encoding="ascii")
    with serving(case, certified(authority[0], tmp_path)) as port:
        with pytest.raises(SiteError, match=r"garbage\.pem holds no CA certificate"):
            settle_over(f"tls://localhost:{port}", garbage, case, in_custody(case))
        with pytest.raises(SiteError, match=r"absent\.pem cannot be read: No such file"):
            settle_over(f"tls://localhost:{port}", tmp_path / "absent.pem", case, in_custody(case))


def test_a_site_without_the_hosts_certificate_is_named(tmp_path: Path) -> None:
    with pytest.raises(SimulatorSiteError, match="no certificate and key for TLS"):
        server_context(tmp_path)
