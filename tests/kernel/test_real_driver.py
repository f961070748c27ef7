"""The agent over a real kernel's ``ftdi_sio``, in an emulated machine: found, read out, pulled out, gone on with.

Run by ``pytest -m kernel -n0`` after ``tests/kernel/fetch.sh``; a boot takes half a minute, so one boot does it all.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from kernel.adapter import Adapter
from kernel.guest import GATEWAY, run_in_guest, what_is_missing
from posdecom_protocol.documents.certificate import State
from real_parts import SERIAL, RealParts

MISSING = what_is_missing()
pytestmark = [pytest.mark.kernel, pytest.mark.skipif(MISSING is not None, reason=MISSING or "")]

ADAPTER_SERIAL = "POS0001"
TRANSACTIONS = 200
PULLED_AFTER_BYTES = [8_000, 12_000]
"""In the first reading out, and again after what the second connection brings before the rest."""


def script(parts: RealParts) -> str:
    """What a technician types, in the guest. The journal lies on its own memory disk: it refuses network drives."""
    host, desk = (parts.host.replace("127.0.0.1", GATEWAY), parts.desk.replace("127.0.0.1", GATEWAY))
    python = f"{sys.executable} -m posdecom_agent"
    site = parts.site / "technician"
    return f"""
set -e
export PATH=/usr/bin:/bin HOME=/run/guest
cd /run/guest
for second in $(seq 60); do [ -e /dev/ttyUSB0 ] && break; sleep 1; done
{python} ports --json
{python} retire --port /dev/ttyUSB0 --site {site} --order {parts.order_file} \\
    --host {host} --desk {desk} --journal /run/guest/journal --out /run/guest/out \\
    --confirm-serial {SERIAL} --reconnect-timeout 60
cp /run/guest/out/certificate.posdecom /run/guest/out/trust.pem /run/out/
"""


def test_a_terminal_on_an_ftdi_adapter_is_found_retired_and_survives_the_cable_being_pulled(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with RealParts(tmp_path, transactions=TRANSACTIONS) as parts:
        parts.start_acquirer()
        parts.wait_for_terminal(parts.start_terminal())
        parts.write_order()
        with Adapter(parts.tty, PULLED_AFTER_BYTES) as adapter:
            ran = run_in_guest(
                folder, script(parts), adapter_port=adapter.port, adapter_serial=ADAPTER_SERIAL
            )
        assert ran.code == 0, ran.stderr + ran.dmesg[-1000:]
        assert adapter.pulled == len(PULLED_AFTER_BYTES)
        verified = parts.run(
            [
                "posdecom_agent",
                "verify",
                folder / "certificate.posdecom",
                "--trust",
                folder / "trust.pem",
                "--json",
            ]
        )
        assert json.loads(verified.stdout)["state"] == State.COMPLETE.name.lower()
    assert "FTDI USB Serial Device converter now attached to ttyUSB" in ran.dmesg
    assert ran.dmesg.count("FTDI USB Serial Device converter now disconnected") >= len(PULLED_AFTER_BYTES)
    assert ADAPTER_SERIAL in ran.stdout
