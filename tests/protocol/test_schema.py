"""Kinds and records: each bound from both sides, and both directions from one table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posdecom_protocol import cbor
from posdecom_protocol.documents import SHAPES
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.schema import (
    Choice,
    Field,
    Fixed,
    Flag,
    Kind,
    Many,
    Octets,
    Record,
    Text,
    Time,
    Whole,
    lines,
)


class Colour(IntEnum):
    RED = 1
    DARK_BLUE = 5


@dataclass(frozen=True, slots=True)
class Leg:
    length: int
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    colour: Colour
    legs: tuple[Leg, ...]
    best: Leg
    folds: bool
    serials: tuple[bytes, ...] = ()


LEG = Record(Leg, {1: Field("length", Whole(90, low=10)), 2: Field("name", Text(5), optional=True)})
TABLE = Record(
    Table,
    {
        1: Field("colour", Choice(Colour)),
        2: Field("legs", Many(LEG, 3, low=1)),
        3: Field("best", LEG),
        4: Field("folds", Flag()),
        5: Field("serials", Many(Octets(2), 2)),
    },
)
EXAMPLE = Table(Colour.DARK_BLUE, (Leg(70), Leg(71, "front")), Leg(71, "front"), folds=True)
PACKED: dict[int, cbor.Value] = {
    1: 5,
    2: ({1: 70}, {1: 71, 2: "front"}),
    3: {1: 71, 2: "front"},
    4: True,
    5: (),
}


@pytest.mark.parametrize(
    ("kind", "accepted", "refused"),
    [
        (Whole(9), [0, 9], [-1, 10, True, False, "1", b"1", (), {}]),
        (Whole(9, low=-9), [-9, 9], [-10, 10]),
        (Whole(3, low=3), [3], [2, 4]),
        (Time(), [0, 253_402_300_799], [-1, 253_402_300_800, False]),
        (Text(3), ["a", "abc", "\u6c34\u6c34\u6c34", "a b"], ["", "abcd", b"a", 1, ("a",)]),
        (Text(3, empty=True), ["", "abc"], ["abcd"]),
        (Fixed("yes"), ["yes"], ["Yes", "", b"yes", 1]),
        (Octets(2), [b"ab"], [b"", b"a", b"abc", "ab", 1]),
        (Octets(2, low=0), [b"", b"a", b"ab"], [b"abc"]),
        (Flag(), [True, False], [0, 1, "yes", b""]),
        (Choice(Colour), [1, 5], [0, 2, 6, -1, True, "1", b"\x01"]),
        (Many(Flag(), 2), [(), (True,), (True, False)], [(True, True, True), (1,), True, {}]),
        (Many(Flag(), 2, low=1), [(True,), (True, False)], [()]),
        (LEG, [{1: 10}, {1: 90, 2: "a"}], [{}, {2: "a"}, {1: 9}, {1: 10, 2: ""}, {1: 10, 3: 0}, (), 1]),
    ],
    ids=lambda kind: repr(kind)[:30] if isinstance(kind, Whole | Text | Octets) else None,
)
def test_each_bound_holds_from_both_sides(kind: Kind[Any], accepted: list[Any], refused: list[Any]) -> None:
    for value in accepted:
        assert kind.pack(kind.unpack(value, "here")) == value
        assert isinstance(kind.text(kind.unpack(value, "here")), str)
    for value in refused:
        with pytest.raises(DocumentError, match=r"^here"):
            kind.unpack(value, "here")


UNSEEN = [
    *range(32),
    *range(127, 160),
    0x061C,
    0x200B,
    0x200E,
    0x200F,
    *range(0x2028, 0x202F),
    *range(0x2060, 0x206A),
    0xFEFF,
]


@pytest.mark.parametrize("empty", [False, True])
def test_text_that_would_not_look_like_what_it_is_is_refused(empty: bool) -> None:
    """Line ends and direction marks could forge a line of the verdict on the auditor's screen."""
    for character in map(chr, UNSEEN):
        with pytest.raises(DocumentError, match="here: has a character that does not show"):
            Text(9, empty).unpack(f"a{character}b", "here")


@pytest.mark.parametrize(
    "text",
    [
        "\u00e4\u00f6",
        "\u5546\u5e97\u3000\u4e00",
        "\u05d7\u05e0\u05d5\u05ea",
        "\u0645\u06cc\u200c\u062e",
        "\U0001f3ea",
    ],
)
def test_text_of_any_script_is_accepted(text: str) -> None:
    assert Text(9).unpack(text, "here") == text


def test_a_record_goes_both_ways() -> None:
    assert TABLE.pack(EXAMPLE) == PACKED
    assert TABLE.unpack(PACKED, "table") == EXAMPLE
    assert TABLE.unpack(cbor.decode(cbor.encode(TABLE.pack(EXAMPLE)), "table"), "table") == EXAMPLE


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("table.colour: is no Colour", {1: 2}),
        (r"table.legs\[1\].length: must be an integer from 10 to 90", {2: ({1: 70}, {1: 9})}),
        (r"table.legs\[0\].length: is missing", {2: ({},)}),
        (r"table.legs: must be an array of 1 to 3", {2: ()}),
        ("table.best: must be a map", {3: ()}),
        ("table.best: has unknown field 7", {3: {1: 70, 7: 0, 9: 0}}),
        ("table.best.name: must be text of 1 to 5 characters", {3: {1: 70, 2: "too long"}}),
        ("table.folds: must be true or false", {4: 1}),
        (r"table.serials\[1\]: must be 2 to 2 bytes", {5: (b"ab", b"c")}),
        ("table: has unknown field 6", {6: 0}),
        ("table: has unknown field -65537", {-65537: 0}),
    ],
)
def test_an_error_names_the_place_and_never_the_content(where: str, change: dict[int, Any]) -> None:
    with pytest.raises(DocumentError, match=f"^{where}$"):
        TABLE.unpack({**PACKED, **change}, "table")


@pytest.mark.parametrize("label", PACKED)
def test_a_missing_field_is_named(label: int) -> None:
    with pytest.raises(DocumentError, match=f"^table.{TABLE.fields[label].name}: is missing$"):
        TABLE.unpack({key: value for key, value in PACKED.items() if key != label}, "table")


def test_a_record_reads_as_lines() -> None:
    assert list(lines(TABLE, EXAMPLE)) == [
        (0, "colour", "dark blue"),
        (0, "legs 1 of 2", ""),
        (1, "length", "70"),
        (0, "legs 2 of 2", ""),
        (1, "length", "71"),
        (1, "name", "front"),
        (0, "best", ""),
        (1, "length", "71"),
        (1, "name", "front"),
        (0, "folds", "yes"),
        (0, "serials", "none"),
    ]


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Time(), 0, "1970-01-01T00:00:00Z"),
        (Time(), 253_402_300_799, "9999-12-31T23:59:59Z"),
        (Octets(64, low=0), bytes(64), "00" * 64),
        (Octets(65, low=0), bytes(65), "65 bytes"),
        (Flag(), False, "no"),
        (Many(Whole(9), 3), (1, 2), "1, 2"),
        (LEG, Leg(10, "a"), "length 10, name a"),
        (LEG, Leg(10), "length 10"),
    ],
)
def test_a_value_reads_as_text(kind: Kind[Any], value: Any, text: str) -> None:
    assert kind.text(value) == text


# --- every record of every document --------------------------------------------------------------


def _strategy(kind: Kind[Any]) -> st.SearchStrategy[Any]:
    match kind:
        case Record(of=made, fields=fields):
            members = {
                field.name: st.none() | _strategy(field.kind) if field.optional else _strategy(field.kind)
                for field in fields.values()
            }
            return st.builds(made, **members)
        case Many(of=member, high=high, low=low):
            return st.lists(_strategy(member), min_size=low, max_size=min(high, 2)).map(tuple)
        case Whole(high=high, low=low):
            return st.integers(low, high)
        case Text(high=high, empty=empty):
            return st.text("aZ09 -\u6c34", min_size=0 if empty else 1, max_size=min(high, 8))
        case Fixed(value=value):
            return st.just(value)
        case Octets(high=high, low=low):
            least = high if low is None else low
            return st.binary(min_size=least, max_size=max(least, min(high, 40)))
        case Choice() as choice:
            return st.sampled_from([*choice.of.__members__.values()])
        case _:
            raise AssertionError(f"no strategy for {kind!r}")


@pytest.mark.parametrize("made", SHAPES, ids=lambda made: made.__name__.lower())
@given(chance=st.data())
def test_every_document_goes_both_ways_through_cbor(made: type[Any], chance: st.DataObject) -> None:
    record = SHAPES[made].record
    body = chance.draw(_strategy(record))
    data = cbor.encode(record.pack(body))
    assert record.unpack(cbor.decode(data, "body"), "body") == body
    assert len(list(lines(record, body))) >= sum(not field.optional for field in record.fields.values())


def _records(kind: Kind[Any]) -> list[Record[Any]]:
    match kind:
        case Record(fields=fields):
            inner = [record for field in fields.values() for record in _records(field.kind)]
            return [kind, *inner]
        case Many(of=member):
            return _records(member)
        case _:
            return []


@pytest.mark.parametrize("made", SHAPES, ids=lambda made: made.__name__.lower())
def test_each_field_of_each_class_has_exactly_one_label(made: type[Any]) -> None:
    for record in _records(SHAPES[made].record):
        names = [field.name for field in record.fields.values()]
        assert sorted(names) == sorted(record.of.__dataclass_fields__)
        assert all(0 <= label < 2**32 or label <= cbor.PRIVATE_KEY_MAX for label in record.fields)
