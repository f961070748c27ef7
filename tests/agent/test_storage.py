"""Where a journal may live: private folders on local disks. Seen through the journal that asks for it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from posdecom_agent import storage
from posdecom_agent.journal import SqliteJournal
from posdecom_agent.storage import DiskFull, StorageFailed, UnsafePlace, free_bytes_at, storage_error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job" / "journal"


@pytest.mark.parametrize(("mode", "noun"), [(0o750, "folder"), (0o707, "folder")])
def test_a_folder_open_to_others_is_refused(path: Path, mode: int, noun: str) -> None:
    path.parent.mkdir()
    path.parent.chmod(mode)
    with pytest.raises(UnsafePlace, match=f"{noun} has mode {mode:04o}.*0700"):
        SqliteJournal.open(path)
    assert not path.exists()


def test_a_file_open_to_others_is_refused(path: Path) -> None:
    SqliteJournal.open(path).close()
    path.chmod(0o640)
    with pytest.raises(UnsafePlace, match=r"file has mode 0640.*0600"):
        SqliteJournal.open(path)


@pytest.mark.parametrize(
    ("system", "refused"),
    [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("ext4", False), ("9p", False), ("tmpfs", False)],
)
def test_a_network_drive_is_refused(tmp_path: Path, system: str, refused: bool) -> None:
    drive = tmp_path / "my drive"
    mounts = mount_table(tmp_path, f"server:/x {str(drive).replace(' ', chr(92) + '040')} {system} rw 0 0")
    if refused:
        with pytest.raises(UnsafePlace, match=f"network drive .{system}"):
            SqliteJournal.open(drive / "job" / "journal", mounts=mounts)
    else:
        SqliteJournal.open(drive / "job" / "journal", mounts=mounts).close()


def test_a_local_disk_mounted_inside_or_over_a_network_drive_is_local(tmp_path: Path) -> None:
    inside = mount_table(tmp_path, f"s:/ {tmp_path} nfs rw 0 0", f"/dev/sda1 {tmp_path}/local ext4 rw 0 0")
    SqliteJournal.open(tmp_path / "local" / "job" / "journal", mounts=inside).close()
    over = mount_table(tmp_path, f"s:/ {tmp_path}/x nfs rw 0 0", f"none {tmp_path}/x tmpfs rw 0 0")
    SqliteJournal.open(tmp_path / "x" / "job" / "journal", mounts=over).close()
    beside = mount_table(tmp_path, f"s:/ {tmp_path}/jo nfs rw 0 0")
    SqliteJournal.open(tmp_path / "job" / "journal", mounts=beside).close()


def test_a_system_without_a_mount_table_refuses_no_place(tmp_path: Path) -> None:
    SqliteJournal.open(tmp_path / "job" / "journal", mounts=tmp_path / "none").close()


def test_a_system_without_posix_modes_is_asked_for_none_and_its_folders_are_not_synced(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o755)
    synced: list[int] = []
    monkeypatch.setattr(storage, "_IS_POSIX", False)
    monkeypatch.setattr(os, "fsync", synced.append)
    storage.require_safe_place(path, path.parent / "no mount table")
    assert (path.read_bytes(), synced) == (b"", [])


def test_a_folder_that_cannot_be_made_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed, match="ENOTDIR"):
        SqliteJournal.open(tmp_path / "file" / "job" / "journal")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_and_no_quota_are_a_full_disk(code: int) -> None:
    assert isinstance(storage_error(OSError(code, "x")), DiskFull)


def test_free_space_of_a_folder_that_went_away_is_a_storage_failure(tmp_path: Path) -> None:
    assert free_bytes_at(tmp_path) > 0
    with pytest.raises(StorageFailed, match="ENOENT"):
        free_bytes_at(tmp_path / "gone")


def mount_table(folder: Path, *lines: str) -> Path:
    table = folder / "mounts"
    table.write_text("".join(f"{line}\n" for line in ("/dev/root / ext4 rw 0 0", *lines)))
    return table
