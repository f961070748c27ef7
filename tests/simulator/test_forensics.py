"""The scanner finds what is planted, in each form and at each place, and nothing where nothing is."""

from __future__ import annotations

import base64
import binascii
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from posdecom_simulator.cli import simulator
from posdecom_simulator.forensics.forms import Form, expanded_key, renderings
from posdecom_simulator.forensics.record import Entry, Kind, live
from posdecom_simulator.forensics.search import Find, Search
from posdecom_simulator.forensics.secrets_file import RecordError, note_in, read_record

KEY: Final = random.Random("key").randbytes(16)
NOISE: Final = random.Random("noise").randbytes(4096)


def search_for(*values: bytes, slot: str = "TAK", kind: Kind = Kind.STORED) -> Search:
    return Search([Entry(slot, kind, values)])


def planted(text: bytes, offset: int = 100) -> bytes:
    return NOISE[:offset] + text + NOISE[offset:]


def with_odd_parity(key: bytes) -> bytes:
    return bytes((byte & 0xFE) | (bin(byte >> 1).count("1") % 2 == 0) for byte in key)


DISGUISES: Final[dict[str, tuple[Form, Callable[[bytes], bytes]]]] = {
    "raw": (Form.RAW, bytes),
    "left half": (Form.RAW, lambda key: key[:8]),
    "right half": (Form.RAW, lambda key: key[8:]),
    "eight bytes of the middle": (Form.RAW, lambda key: key[3:11]),
    "byte-reversed": (Form.REVERSED, lambda key: key[::-1]),
    "hex": (Form.HEX, binascii.hexlify),
    "hex in capitals": (Form.HEX, lambda key: key.hex().upper().encode()),
    "half in hex": (Form.HEX, lambda key: key[5:13].hex().encode()),
    "base64": (Form.BASE64, base64.b64encode),
    "base64, one byte in": (Form.BASE64, lambda key: base64.b64encode(b"x" + key)),
    "base64, two bytes in": (Form.BASE64, lambda key: base64.b64encode(b"xy" + key + b"z")),
    "base64 for addresses": (Form.BASE64, lambda key: base64.urlsafe_b64encode(b"x" + key)),
    "parity cleared": (Form.PARITY, lambda key: bytes(byte & 0xFE for byte in key)),
    "odd parity": (Form.PARITY, with_odd_parity),
    "schedule for encryption": (Form.SCHEDULE, lambda key: b"".join(expanded_key(key))),
    "one round key": (Form.SCHEDULE, lambda key: b"".join(expanded_key(key)[20:24])),
    "one round key, words turned round": (
        Form.SCHEDULE,
        lambda key: b"".join(word[::-1] for word in expanded_key(key)[20:24]),
    ),
}


@pytest.mark.parametrize("name", DISGUISES)
@pytest.mark.parametrize("offset", range(8))
def test_a_key_is_found_in_every_disguise_at_every_alignment(name: str, offset: int) -> None:
    form, disguise = DISGUISES[name]
    finds = search_for(KEY).look("image", planted(disguise(KEY), offset))
    assert finds
    assert form in {find.form for find in finds}
    assert len(finds) <= (
        2 if name == "schedule for encryption" else 1
    )  # a whole schedule begins with the key
    assert {(find.slot, find.region) for find in finds} == {("TAK", "image")}


def test_a_find_tells_the_place_and_the_length_to_the_byte() -> None:
    assert search_for(KEY).look("flash", planted(KEY, 777)) == [Find("TAK", Form.RAW, "flash", 777, 16)]
    assert search_for(KEY).look("flash", planted(KEY[2:13], 9)) == [Find("TAK", Form.RAW, "flash", 9, 11)]


def test_two_copies_are_two_finds_and_so_is_a_torn_one() -> None:
    finds = search_for(KEY).look("image", KEY + bytes(3) + KEY)
    assert [(find.offset, find.size_bytes) for find in finds] == [(0, 16), (19, 16)]
    finds = search_for(KEY * 2).look("image", (KEY * 2)[:12] + bytes(8) + (KEY * 2)[20:])
    assert {(find.offset, find.size_bytes) for find in finds} >= {(0, 12), (20, 12)}


@pytest.mark.parametrize("size", range(8))
def test_seven_equal_bytes_are_no_find(size: int) -> None:
    assert search_for(KEY).look("image", planted(KEY[:size])) == []


def test_a_key_at_the_very_end_and_in_a_haystack_of_its_own_length_is_found() -> None:
    for noise in (b"", NOISE[:5], NOISE):
        assert len(search_for(KEY).look("image", noise + KEY)) == 1
    assert search_for(KEY).look("image", b"") == search_for(KEY).look("image", KEY[:7]) == []


def test_nothing_is_found_in_noise_or_in_blank_memory() -> None:
    search = search_for(
        *(random.Random(number).randbytes(32) for number in range(50)), bytes(16), b"\xff" * 16
    )
    for blank in (bytes(65536), b"\xff" * 65536, random.Random("haystack").randbytes(65536)):
        assert search.look("image", blank) == []


def test_the_schedule_is_that_of_the_standard() -> None:
    """FIPS 197 appendix A: last words of the three examples."""
    for key, last in {
        "2b7e151628aed2a6abf7158809cf4f3c": "b6630ca6",
        "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b": "01002202",
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4": "706c631e",
    }.items():
        assert expanded_key(bytes.fromhex(key))[-1].hex() == last


def test_the_schedule_for_decryption_is_looked_for_as_the_standard_has_it() -> None:
    """FIPS 197 appendix C.1, equivalent inverse cipher: ik_sch of rounds 2 and 9 of AES-128 with key 000102...0f."""
    search = search_for(bytes(range(16)))
    for round_key in ("8c56dff0825dd3f9805ad3fc8659d7fd", "a0db02992286d160a2dc029c2485d561"):
        assert [find.form for find in search.look("image", planted(bytes.fromhex(round_key)))] == [
            Form.SCHEDULE
        ]


def test_every_form_of_a_value_is_long_enough_to_be_no_accident() -> None:
    for size in (8, 16, 24, 32):
        for rendering in renderings(NOISE[:size]):
            assert len(rendering.text) >= rendering.window >= 8


def test_four_mebibytes_and_five_hundred_values_take_no_more_than_seconds() -> None:
    """Bounded generously: the point is that it is no byte-by-byte loop over needles."""
    search = search_for(*(random.Random(number).randbytes(16) for number in range(500)))
    image = bytearray(NOISE * 1024)
    image[3_000_001:3_000_017] = random.Random(250).randbytes(16)
    assert [find.offset for find in search.look("flash", bytes(image))] == [3_000_001]


# --- the secrets file -----------------------------------------------------------------------------


def test_a_secrets_file_is_read_as_it_was_noted_and_belongs_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    note_in(path)("TAK", Kind.STORED, [bytearray(KEY)])
    note_in(path)("TMK", Kind.WRAPPED, iter([KEY, KEY[::-1]]))
    assert list(map(entry_fields, read_record(path))) == [
        ("TAK", Kind.STORED, (KEY,)),
        ("TMK", Kind.WRAPPED, (KEY, KEY[::-1])),
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def entry_fields(entry: Entry) -> tuple[str, Kind, tuple[bytes, ...]]:
    return entry.slot, entry.kind, entry.values


def test_the_last_value_of_a_slot_is_its_live_one() -> None:
    found = live(
        [
            Entry("TAK", Kind.PASSING, (b"block...",)),
            Entry("TAK", Kind.STORED, (b"former..",)),
            Entry("TAK", Kind.WRAPPED, (b"old wrap",)),
            Entry("TMK", Kind.INJECTED, (b"made....",)),
            Entry("TAK", Kind.STORED, (b"present.",)),
            Entry("TAK", Kind.WRAPPED, (b"new wrap",)),
        ]
    )
    assert found == {"TAK": ([b"present."], [b"new wrap"])}


@pytest.mark.parametrize(
    "line",
    [
        "c0ffee",
        "[]",
        "{}",
        '{"slot": "TAK", "kind": "stored", "values": ["c0ffee"]}',
        '{"slot": "TAK", "kind": "stored", "values": ["c0ffeezz00000000"]}',
        '{"slot": "TAK", "kind": "c0ffee", "values": []}',
        '{"slot": "TAK", "kind": "stored", "values": "c0ffee"}',
        '{"slot": 1, "kind": "stored", "values": []}',
        '{"slot": "TAK", "kind": "stored", "values": [1]}',
    ],
)
def test_a_line_that_is_no_entry_is_named_and_not_shown(tmp_path: Path, line: str) -> None:
    path = tmp_path / "secrets"
    path.write_text(f"{line}\n")
    with pytest.raises(RecordError) as caught:
        list(read_record(path))
    assert str(caught.value) == f"{path}: line 1 is no entry of a secrets file"
    assert caught.value.__suppress_context__


# --- the command ----------------------------------------------------------------------------------


class Case:
    """A folder as a terminal's memory, a secrets file, and the command over both."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.state.mkdir()
        self.secrets = folder / "secrets"
        (self.state / "flash.bin").write_bytes(NOISE)

    def note(self, slot: str, kind: Kind, values: Iterable[bytes]) -> None:
        note_in(self.secrets)(slot, kind, values)

    def run(self, *options: object) -> Result:
        arguments = ["forensics", "--state", self.state, "--secrets", self.secrets, *options]
        return CliRunner().invoke(simulator, list(map(str, arguments)))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_nothing_found_is_exit_code_0(case: Case) -> None:
    case.note("TAK", Kind.STORED, [KEY])
    result = case.run()
    assert (result.exit_code, result.output) == (
        0,
        "1 values, each in every form, in 1 places of 4096 bytes: no finds\n",
    )


def test_a_find_is_exit_code_1_and_never_shows_the_key(case: Case) -> None:
    case.note("TAK", Kind.PASSING, [KEY])
    (case.state / "sram.bin").write_bytes(planted(KEY[:9], 64))
    result = case.run()
    assert result.exit_code == 1
    assert f"TAK  raw  {case.state / 'sram.bin'} at 0x40, 9 bytes" in result.output
    reported = case.run("--json")
    assert reported.exit_code == 1
    assert json.loads(reported.output) == {
        "values": 1,
        "places": 2,
        "bytes": 2 * 4096 + 9,
        "finds": [
            {
                "slot": "TAK",
                "form": "raw",
                "region": str(case.state / "sram.bin"),
                "offset": 64,
                "size_bytes": 9,
            }
        ],
        "live_not_found": [],
    }
    for output in (result.output, reported.output):
        assert KEY[:4].hex() not in output


def test_the_agents_files_are_searched_too(case: Case, tmp_path: Path) -> None:
    case.note("TAK", Kind.STORED, [KEY])
    (tmp_path / "agent" / "journal").mkdir(parents=True)
    (tmp_path / "agent" / "journal" / "job.db").write_bytes(planted(base64.b64encode(KEY)))
    result = case.run("--also", tmp_path / "agent")
    assert result.exit_code == 1 and "job.db at 0x64" in result.output


def test_the_control_holds_when_every_live_slot_is_found_raw_or_wrapped(case: Case) -> None:
    case.note("TAK", Kind.STORED, [NOISE[10:26]])
    case.note("TMK", Kind.STORED, [KEY])
    case.note("TMK", Kind.WRAPPED, [NOISE[100:124]])
    case.note("TPK", Kind.PASSING, [b"never there....."])
    assert case.run("--expect-live").exit_code == 0


def test_a_control_that_sees_no_dead_copy_makes_the_run_void(case: Case) -> None:
    """A memory in which nothing was ever overwritten shows nothing of what an overwrite leaves."""
    case.note("TAK", Kind.STORED, [NOISE[10:26]])
    result = case.run("--expect-live", "--expect-dead-copy")
    assert (result.exit_code, "no dead copy" in result.output) == (2, True)


def test_the_copy_of_a_key_that_was_replaced_is_a_dead_copy(case: Case) -> None:
    case.note("TAK", Kind.STORED, [NOISE[10:26]])
    case.note("TAK", Kind.STORED, [NOISE[40:56]])
    assert case.run("--expect-live", "--expect-dead-copy").exit_code == 0


@pytest.mark.parametrize(
    ("entries", "missing"),
    [
        ([("TAK", Kind.STORED, [NOISE[10:26]]), ("TMK", Kind.STORED, [KEY])], "TMK"),
        ([("DUKPT", Kind.STORED, [NOISE[10:26], KEY])], "DUKPT"),
        ([("TMK", Kind.STORED, [KEY]), ("TMK", Kind.WRAPPED, [KEY[::-1]])], "TMK"),
        ([("TAK", Kind.STORED, [NOISE[10:26]]), ("TAK", Kind.STORED, [KEY])], "TAK"),
        ([("TAK", Kind.PASSING, [NOISE[10:26]])], "no live slot is recorded"),
    ],
)
def test_a_control_that_misses_one_slot_makes_the_run_void(
    case: Case, entries: list[tuple[str, Kind, list[bytes]]], missing: str
) -> None:
    for entry in entries:
        case.note(*entry)
    result = case.run("--expect-live")
    assert result.exit_code == 2
    assert result.output.endswith(f"void: not found where they must be: {missing}\n")


def test_the_control_looks_at_the_terminals_memory_only(case: Case, tmp_path: Path) -> None:
    case.note("TAK", Kind.STORED, [KEY])
    (tmp_path / "elsewhere").write_bytes(KEY)
    assert case.run("--expect-live", "--also", tmp_path / "elsewhere").exit_code == 2


@pytest.mark.parametrize("content", ["", "no json\n", '{"slot": "TAK", "kind": "stored", "values": []}\n'])
def test_without_anything_to_look_for_the_run_is_void(case: Case, content: str) -> None:
    case.secrets.write_text(content)
    result = case.run()
    assert result.exit_code == 2 and "void: " in result.output


def test_a_process_that_cannot_be_read_makes_the_run_void(case: Case) -> None:
    case.note("TAK", Kind.STORED, [KEY])
    result = case.run("--pid", 2**22 + 1)
    assert result.exit_code == 2 and "cannot be searched" in result.output


# --- against a search that is too simple to be wrong ----------------------------------------------


def common_stretches(value: bytes, data: bytes) -> set[tuple[int, int]]:
    """Offset and length of every longest stretch of 8 bytes or more that ``data`` shares with ``value``."""
    found = set()
    for offset in range(len(data)):
        for start in range(len(value)):
            size = 0
            while (
                offset + size < len(data)
                and start + size < len(value)
                and data[offset + size] == value[start + size]
            ):
                size += 1
            is_longest = offset == 0 or start == 0 or data[offset - 1] != value[start - 1]
            if size >= 8 and is_longest:
                found.add((offset, size))
    return found


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_raw_finds_are_those_of_a_byte_by_byte_comparison(data: st.DataObject) -> None:
    value = data.draw(st.binary(min_size=16, max_size=24).filter(lambda value: len(set(value)) > 10))
    pieces = st.one_of(
        st.binary(max_size=20),
        st.tuples(st.integers(0, 23), st.integers(0, 24)).map(lambda cut: value[cut[0] : cut[1]]),
    )
    haystack = b"".join(data.draw(st.lists(pieces, max_size=6)))
    finds = search_for(value).look("image", haystack)
    raw = {(find.offset, find.size_bytes) for find in finds if find.form is Form.RAW}
    assert raw == common_stretches(value, haystack)
