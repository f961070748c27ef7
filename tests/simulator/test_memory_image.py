from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from posdecom_simulator.memory.flash import FlashShape
from posdecom_simulator.memory.flash_log import FlashLog
from posdecom_simulator.memory.image import SMALL, Geometry, Image, ImageError


def sizes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in directory.iterdir()}


def test_the_default_is_four_mebibytes_of_flash_and_64_kibibytes_of_sram(tmp_path: Path) -> None:
    Image.open(tmp_path / "state")
    found = sizes(tmp_path / "state")
    found.pop("geometry.json")
    assert found == {
        "flash.bin": 4 << 20,
        "sram.bin": 64 << 10,
        "secure-element.bin": 8 << 10,
        "wear.bin": 4096,
    }


def test_only_the_owner_may_read_an_image(tmp_path: Path) -> None:
    Image.open(tmp_path / "state", SMALL)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()} == {0o600}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_a_new_flash_is_erased_and_all_other_cells_are_zero(tmp_path: Path) -> None:
    image = Image.open(tmp_path, SMALL)
    cells = {name: set(bytes(one)) for name, one in image.cells.items()}
    assert cells == {"flash": {255}, "wear": {0}, "sram": {0}, "secure-element": {0}}
    assert Image.new(SMALL).regions() == image.regions()


def test_an_image_keeps_its_geometry_whatever_is_asked_for_later(tmp_path: Path) -> None:
    Image.open(tmp_path, SMALL)
    assert Image.open(tmp_path, Geometry()).geometry == SMALL
    assert Image.open(tmp_path).geometry == SMALL
    assert json.loads((tmp_path / "geometry.json").read_text())["flash"]["block_bytes"] == 4096


def test_what_one_process_wrote_and_was_killed_another_reads(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys\n"
        "from posdecom_simulator.memory.image import Image, SMALL\n"
        "from posdecom_simulator.memory.flash_log import FlashLog\n"
        "image = Image.open(pathlib.Path(sys.argv[1]), SMALL)\n"
        "FlashLog(image.flash()).put('state', b'frozen')\n"
        "image.sram().put('TPK', bytes(range(16)))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    image = Image.open(tmp_path)
    assert FlashLog(image.flash()).get("state") == b"frozen"
    assert image.sram().get("TPK") == bytes(range(16))
    assert bytes(range(16)) in (tmp_path / "sram.bin").read_bytes()


def test_a_directory_whose_image_was_cut_while_it_was_made_starts_over(tmp_path: Path) -> None:
    (tmp_path / "flash.bin").write_bytes(b"half an image")
    assert len(Image.open(tmp_path, SMALL).regions()["flash"]) == 256 << 10


def test_looking_at_an_image_changes_nothing(tmp_path: Path) -> None:
    image = Image.open(tmp_path, SMALL)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    seen = Image.inspect(tmp_path)
    seen.sram().lose()
    FlashLog(seen.flash()).put("state", b"1")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert not image.sram().is_latched


def test_a_copy_is_independent() -> None:
    image = Image.new(SMALL)
    image.copy().sram().lose()
    assert not image.sram().is_latched


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"format": 2}',
        SMALL.json().replace("sram_bytes", "ram_bytes"),
        SMALL.json().replace("64", "2"),
    ],
)
def test_a_geometry_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    Image.open(tmp_path, SMALL)
    (tmp_path / "geometry.json").write_text(text)
    with pytest.raises(ImageError):
        Image.open(tmp_path)


def test_files_of_other_sizes_than_the_geometry_says_are_refused(tmp_path: Path) -> None:
    Image.open(tmp_path, SMALL)
    os.truncate(tmp_path / "sram.bin", 1024)
    with pytest.raises(ImageError):
        Image.inspect(tmp_path)


def test_an_empty_directory_holds_no_image_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        Image.inspect(tmp_path)


def test_a_geometry_reads_back_as_it_was_written() -> None:
    odd = replace(SMALL, flash=FlashShape(32, 512, 128, 7), sram_slot_bytes=1024)
    assert Geometry.from_json(odd.json()) == odd
