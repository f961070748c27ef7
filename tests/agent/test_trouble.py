"""The catalogue is complete and stable, and every error that this house raises finds its entry."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from string import Formatter

import pytest

import errors_page
from posdecom_agent import catalogue, port_access, storage, trouble
from posdecom_agent.catalogue import CATALOGUE, Entry, Exit
from posdecom_agent.site import SiteError
from posdecom_agent.trouble import Trouble, trouble_from
from posdecom_protocol import errors


def fields(entry: Entry) -> set[str]:
    texts = [entry.message, entry.cause, *entry.next_actions]
    return {name for text in texts for _, name, _, _ in Formatter().parse(text) if name}


def test_codes_and_classes_are_unique_and_well_formed() -> None:
    codes = [entry.code for entry in CATALOGUE]
    names = [entry.name for entry in CATALOGUE]
    assert len(set(codes)) == len(set(names)) == len(CATALOGUE)
    assert codes == sorted(codes)
    assert all(re.fullmatch(r"PD-E\d\d", code) for code in codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in names)


def test_every_entry_of_the_module_is_in_the_catalogue() -> None:
    assert {value for value in vars(catalogue).values() if isinstance(value, Entry)} == set(CATALOGUE)


def test_the_errors_page_is_made_from_the_catalogue() -> None:
    assert errors_page.PAGE.read_text(encoding="utf-8") == errors_page.page(), (
        "run: python tests/errors_page.py"
    )


def test_the_last_line_names_the_page() -> None:
    lines = trouble_from(KeyboardInterrupt()).lines()
    assert lines[2].endswith("; see docs/errors.md#pd-e05")
    assert '<a id="pd-e05"></a>' in errors_page.page()


def test_no_trouble_exits_with_success_and_each_has_something_to_try() -> None:
    assert all(entry.exit != Exit.DONE and entry.next_actions for entry in CATALOGUE)


def test_exit_codes_are_the_documented_ones() -> None:
    assert {code.name: int(code) for code in Exit} == {
        "DONE": 0,
        "INTERNAL": 1,
        "USAGE": 2,
        "DECLINED": 3,
        "NOTHING_TO_DO": 4,
        "NO_TERMINAL": 10,
        "FORBIDDEN": 11,
        "SEVERAL_CANDIDATES": 12,
        "BUSY": 13,
        "LINK_LOST": 14,
        "PROTOCOL": 15,
        "FLUSH_INCOMPLETE": 20,
        "MISMATCH": 21,
        "ERASE_REFUSED": 22,
        "ERASE_UNVERIFIED": 23,
        "FORGED": 30,
        "COMPLETE_WITH_EXCEPTIONS": 31,
        "INCOMPLETE": 32,
        "UNATTESTED": 33,
        "STORAGE": 40,
        "SOME_FAILED": 50,
        "ALL_FAILED": 51,
        "INTERRUPTED": 130,
    }


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_every_entry_gives_three_lines_and_a_document(entry: Entry) -> None:
    made = Trouble(entry, **{name: f"<{name}>" for name in fields(entry)})
    first, second, third = made.lines()
    assert first.startswith(f"error[{entry.code}]: ")
    assert second.startswith("cause: ")
    assert third.startswith("try: ")
    assert not any(character in first + second + third for character in "{}\n")
    assert set(made.document()) == {"class", "code", "exit", "message", "cause", "next_actions"}


def test_a_missing_parameter_is_noticed_where_the_trouble_is_made() -> None:
    with pytest.raises(KeyError):
        Trouble(catalogue.PORT_BUSY, port="/dev/ttyUSB0")


def test_what_the_other_side_wrote_stays_one_printable_line() -> None:
    made = Trouble(catalogue.PROTOCOL, cause="one\ntwo\x1b[2J\r" + "x" * 1000)
    assert made.lines()[1] == "cause: one?two?[2J?" + "x" * 288
    assert len(made.cause) == trouble.PARAMETER_CHARACTERS_MAX


def test_a_forbidden_port_reads_as_the_manual_shows_it(tmp_path: Path) -> None:
    node = tmp_path / "ttyUSB0"
    node.touch()
    group = port_access.group_of(node)
    made = trouble_from(port_access.PortForbidden(str(node), "node is root:dialout 0660; you are in: users"))
    assert made.lines() == (
        f"error[PD-E21]: {node} exists, but this user may not open it",
        "cause: node is root:dialout 0660; you are in: users",
        f"try: sudo usermod -aG {group} $USER, then log in again; see docs/errors.md#pd-e21",
    )
    assert made.document() == {
        "class": "port-forbidden",
        "code": "PD-E21",
        "exit": 11,
        "message": f"{node} exists, but this user may not open it",
        "cause": "node is root:dialout 0660; you are in: users",
        "next_actions": [f"sudo usermod -aG {group} $USER, then log in again"],
    }


TRANSLATED: list[tuple[BaseException, Entry, Exit]] = [
    (port_access.PortForbidden("/gone", "no"), catalogue.PORT_FORBIDDEN, Exit.FORBIDDEN),
    (port_access.PortMissing("/gone", "no"), catalogue.PORT_MISSING, Exit.NO_TERMINAL),
    (port_access.PortBusy("/gone", "no"), catalogue.PORT_BUSY, Exit.BUSY),
    (port_access.LinkLost("/gone", "no"), catalogue.LINK_LOST, Exit.LINK_LOST),
    (storage.DiskFull(9, 8), catalogue.DISK_FULL, Exit.STORAGE),
    (storage.StorageFailed("no"), catalogue.STORAGE_FAILED, Exit.STORAGE),
    (storage.JournalBusy("no"), catalogue.JOURNAL_BUSY, Exit.BUSY),
    (storage.JournalCorrupt(7, "no"), catalogue.JOURNAL_CORRUPT, Exit.STORAGE),
    (storage.UnsafePlace("no"), catalogue.UNSAFE_PLACE, Exit.STORAGE),
    (SiteError("technician.key: no"), catalogue.SITE, Exit.FORBIDDEN),
    (errors.ChannelError("no"), catalogue.PEER_REFUSED, Exit.PROTOCOL),
    (errors.FrameError("no"), catalogue.PROTOCOL, Exit.PROTOCOL),
    (errors.MessageError("no"), catalogue.PROTOCOL, Exit.PROTOCOL),
    (errors.DocumentError("order.serial", "no"), catalogue.DOCUMENT, Exit.FORGED),
    (errors.HostError("no"), catalogue.HOST, Exit.FLUSH_INCOMPLETE),
    (OSError(errno.ENOSPC, "no"), catalogue.DISK_FULL, Exit.STORAGE),
    (FileNotFoundError(errno.ENOENT, "no", "order.cose"), catalogue.FILE_MISSING, Exit.USAGE),
    (PermissionError(errno.EACCES, "no", "order.cose"), catalogue.FILE_FORBIDDEN, Exit.FORBIDDEN),
    (OSError(errno.EIO, "no"), catalogue.SYSTEM, Exit.STORAGE),
    (OSError("no errno"), catalogue.SYSTEM, Exit.STORAGE),
    (KeyboardInterrupt(), catalogue.INTERRUPTED, Exit.INTERRUPTED),
    (errors.LocalError("a bug"), catalogue.INTERNAL, Exit.INTERNAL),
    (ValueError("a bug"), catalogue.INTERNAL, Exit.INTERNAL),
    (MemoryError(), catalogue.INTERNAL, Exit.INTERNAL),
]


@pytest.mark.parametrize(
    ("error", "entry", "code"),
    TRANSLATED,
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_error_finds_its_entry(error: BaseException, entry: Entry, code: Exit) -> None:
    made = trouble_from(error)
    assert (made.entry, made.exit) == (entry, code)


def leaves(kind: type[BaseException]) -> set[type[BaseException]]:
    below = kind.__subclasses__()
    return {kind} if not below else {leaf for child in below for leaf in leaves(child)}


@pytest.mark.parametrize("root", [port_access.PortError, storage.StorageError])
def test_no_leaf_of_an_error_tree_is_forgotten(root: type[BaseException]) -> None:
    assert leaves(root) <= {type(error) for error, _, _ in TRANSLATED}


def test_a_trouble_stays_what_it_is() -> None:
    made = Trouble(catalogue.DECLINED, cause="the serial typed is another one")
    assert trouble_from(made) is made


def test_the_cause_of_a_port_error_does_not_repeat_the_port() -> None:
    made = trouble_from(port_access.LinkLost("/dev/ttyUSB0", "the connection ended"))
    assert made.message == "the line to the terminal broke (/dev/ttyUSB0)"
    assert made.cause == "the connection ended"


def test_an_unknown_error_shows_its_type_and_nothing_of_its_content() -> None:
    made = trouble_from(ValueError("4111111111111111"))
    assert "ValueError" in made.lines()[0]
    assert "4111" not in "".join(made.lines()) + str(made.document()) + str(made)


def test_an_operating_system_error_names_file_and_errno_only() -> None:
    made = trouble_from(OSError(errno.EIO, "content", os.fsencode("bytes-name")))
    assert made.message == "the operating system refused something (EIO)"
    assert trouble_from(FileNotFoundError(errno.ENOENT, "x", "a.cose")).message == "a.cose is not there"
