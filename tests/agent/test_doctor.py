"""The doctor on machines made of files: what it finds, what it tells to type, and that it looks without touching."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from posdecom_agent import doctor
from posdecom_agent.adapters import KNOWN_ADAPTERS
from posdecom_agent.cli import main
from posdecom_agent.doctor import Check, Machine, Standing, examine, exit_of, udev_rules
from posdecom_agent.exits import Exit
from posdecom_agent.port_access import group_of
from posdecom_agent.ports import PortInfo


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """With one known adapter that is allowed and free."""
    device = tmp_path / "dev" / "ttyUSB0"
    for folder in ("dev", "sys", "proc"):
        (tmp_path / folder).mkdir()
    device.touch()
    info = PortInfo(str(device), "FT232R", 0x0403, 0x6001, "POS0001", "1-4.3", accessible=True)
    now = time.time() + 3600
    return Machine((info,), tmp_path, now, tmp_path / "sys", tmp_path / "proc", tmp_path / "rule")


def usb_device(machine: Machine, name: str, device_class: str = "00") -> Path:
    folder = machine.sys / "bus/usb/devices" / name
    folder.mkdir(parents=True)
    texts = {"idVendor": "0403", "idProduct": "6001", "product": "POS", "bDeviceClass": device_class}
    for file, text in texts.items():
        (folder / file).write_text(f"{text}\n")
    return folder


def process(machine: Machine, number: int, program: str, *open_files: str) -> None:
    folder = machine.proc / str(number)
    (folder / "fd").mkdir(parents=True)
    (folder / "comm").write_text(f"{program}\n")
    for index, file in enumerate(open_files):
        (folder / "fd" / str(index)).symlink_to(file)


def named(machine: Machine, name: str) -> Check:
    (check,) = (check for check in examine(machine) if check.name == name)
    return check


def test_a_machine_on_which_all_is_well(machine: Machine) -> None:
    checks = list(examine(machine))
    assert not [check for check in checks if check.standing is Standing.BAD]
    assert exit_of(checks) is Exit.DONE
    assert "adapter POS0001" in named(machine, "port").text


def test_a_port_without_rights_names_the_group_of_that_node(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # for root everything is allowed
    check = named(machine, "port")
    assert (check.standing, check.exit) == (Standing.BAD, Exit.FORBIDDEN)
    assert check.remedy.startswith(f"sudo usermod -aG {group_of(Path(machine.ports[0].device))} $USER")


def test_a_busy_port_names_the_program(machine: Machine) -> None:
    process(machine, 77, "minicom", machine.ports[0].device)
    check = named(machine, "port")
    assert check.exit is Exit.BUSY
    assert "minicom (process 77)" in check.text


@pytest.mark.parametrize("hubs_alone", [False, True])
def test_nothing_on_the_usb_is_no_power_or_a_charge_only_cable(machine: Machine, hubs_alone: bool) -> None:
    if hubs_alone:
        usb_device(machine, "usb1", doctor.HUB_CLASS)
    check = named(replace(machine, ports=()), "port")
    assert check.exit is Exit.NO_TERMINAL
    assert "charge-only cable" in check.text


def test_a_usb_device_without_a_port_lacks_its_driver(machine: Machine) -> None:
    usb_device(machine, "1-4")
    (usb_device(machine, "1-5") / "1-5:1.0/ttyUSB9").mkdir(parents=True)
    check = named(replace(machine, ports=()), "port")
    assert "0403:6001 POS" in check.text and check.text.count("0403") == 1
    assert "modprobe" in check.remedy


def test_a_slow_latency_timer_is_a_note_with_the_line_to_type(machine: Machine) -> None:
    file = machine.sys / "bus/usb-serial/devices/ttyUSB0/latency_timer"
    file.parent.mkdir(parents=True)
    file.write_text("16\n")
    check = named(machine, "latency")
    assert check.standing is Standing.NOTE
    assert check.remedy == f"echo 1 | sudo tee {file}"
    file.write_text("1\n")
    assert "latency" not in {check.name for check in examine(machine)}


def test_modem_manager_is_a_note_until_the_rule_is_there(machine: Machine) -> None:
    process(machine, 5, "ModemManager")
    assert named(machine, "modem").remedy == doctor.INSTALL_RULE
    machine.rule.touch()
    assert "modem" not in {check.name for check in examine(machine)}


def test_a_clock_before_this_software_is_wrong(machine: Machine) -> None:
    assert named(replace(machine, now=1_000_000_000.0), "clock").standing is Standing.BAD


def test_a_full_disk_stands_in_the_way(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "FREE_BYTES_MIN", 1 << 80)
    assert named(machine, "disk").exit is Exit.STORAGE


def test_a_folder_that_is_not_there_yet_is_judged_by_its_parent(machine: Machine) -> None:
    check = named(replace(machine, folder=machine.folder / "new" / "jobs"), "disk")
    assert str(machine.folder) in check.text


def test_the_rules_name_every_known_adapter_and_keep_modem_manager_off() -> None:
    rules = list(udev_rules())
    assert len(rules) == 1 + 2 * len(KNOWN_ADAPTERS)
    assert sum('ENV{ID_MM_DEVICE_IGNORE}="1"' in rule for rule in rules) == len(KNOWN_ADAPTERS)
    assert sum('TAG+="uaccess"' in rule for rule in rules) == len(KNOWN_ADAPTERS)


def test_the_command_prints_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "posdecom/doctor/1"
    assert {"port", "disk", "clock", "version"} <= {check["name"] for check in document["checks"]}


def test_the_rules_go_to_stdout_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--udev"])
    assert caught.value.code == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == list(udev_rules())
    assert err == ""
