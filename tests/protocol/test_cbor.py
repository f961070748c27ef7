"""One encoding of each value, and nothing that `cbor2` alone would let through. Examples: RFC 8949 appendix A."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posdecom_protocol import cbor
from posdecom_protocol.cbor import PRIVATE_KEY_MAX, Value, decode, encode, walk
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.limits import CBOR_DEPTH_MAX, CBOR_ITEMS_MAX

# --- RFC 8949 appendix A: every example of table 6 -----------------------------------------------

ALLOWED: list[tuple[str, Value]] = [
    ("00", 0),
    ("01", 1),
    ("0a", 10),
    ("17", 23),
    ("1818", 24),
    ("1819", 25),
    ("1864", 100),
    ("1903e8", 1000),
    ("1a000f4240", 1_000_000),
    ("1b000000e8d4a51000", 1_000_000_000_000),
    ("1bffffffffffffffff", 18_446_744_073_709_551_615),
    ("3bffffffffffffffff", -18_446_744_073_709_551_616),
    ("20", -1),
    ("29", -10),
    ("3863", -100),
    ("3903e7", -1000),
    ("f4", False),
    ("f5", True),
    ("40", b""),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("60", ""),
    ("6161", "a"),
    ("6449455446", "IETF"),
    ("62225c", '"\\'),
    ("62c3bc", "\u00fc"),
    ("63e6b0b4", "\u6c34"),
    ("64f0908591", "\U00010151"),
    ("80", ()),
    ("83010203", (1, 2, 3)),
    ("8301820203820405", (1, (2, 3), (4, 5))),
    ("98190102030405060708090a0b0c0d0e0f101112131415161718181819", tuple(range(1, 26))),
    ("a0", {}),
    ("a201020304", {1: 2, 3: 4}),
]
NOT_ALLOWED = {
    "tag": """c249010000000000000000 c349010000000000000000 c074323031332d30332d32315432303a30343a30305a
        c11a514b67b0 c1fb41d452d9ec200000 d74401020304 d818456449455446
        d82076687474703a2f2f7777772e6578616d706c652e636f6d""",
    "float": """f90000 f98000 f93c00 fb3ff199999999999a f93e00 f97bff fa47c35000 fa7f7fffff fb7e37e43c8800759c
        f90001 f90400 f9c400 fbc010666666666666 f97c00 f97e00 f9fc00 fa7f800000 fa7fc00000 faff800000
        fb7ff0000000000000 fb7ff8000000000000 fbfff0000000000000""",
    "simple value": "f6 f7 f0 f818 f8ff",
    "text as map key": "a26161016162820203 826161a161626163 a56161614161626142616361436164614461656145",
    "indefinite length": """5f42010243030405ff 7f657374726561646d696e67ff 9fff 9f018202039f0405ffff
        9f01820203820405ff 83018202039f0405ff 83019f0203ff820405
        9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff bf61610161629f0203ffff
        826161bf61626163ff bf6346756ef563416d7421ff""",
}
REFUSED = [(kind, example) for kind, examples in NOT_ALLOWED.items() for example in examples.split()]


@pytest.mark.parametrize(("example", "value"), ALLOWED)
def test_an_example_of_the_allowed_types_goes_both_ways(example: str, value: Value) -> None:
    assert encode(value) == bytes.fromhex(example)
    decoded = decode(bytes.fromhex(example), "here")
    assert (decoded, type(decoded)) == (value, type(value))


@pytest.mark.parametrize(("example", "value"), ALLOWED)
def test_each_example_must_be_whole_and_alone(example: str, value: Value) -> None:
    data = bytes.fromhex(example)
    for end in range(len(data)):
        with pytest.raises(DocumentError, match=r"^here: "):
            decode(data[:end], "here")
    with pytest.raises(DocumentError, match="here: bytes after the end"):
        decode(data + b"\x00", "here")


@pytest.mark.parametrize(("kind", "example"), REFUSED)
def test_an_example_of_any_other_type_is_refused(kind: str, example: str) -> None:
    with pytest.raises(DocumentError, match=r"^here: "):
        decode(bytes.fromhex(example), "here")


def test_every_example_of_the_appendix_is_here() -> None:
    assert len(ALLOWED) + len(REFUSED) == 82


# --- one encoding --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "example"),
    [
        ("longer head than needed", "1800"),
        ("longer head than needed", "1817"),
        ("longer head than needed", "190000"),
        ("longer head than needed", "1900ff"),
        ("longer head than needed", "1a0000ffff"),
        ("longer head than needed", "1b00000000ffffffff"),
        ("longer head than needed", "3800"),
        ("longer head than needed", "580100"),
        ("longer head than needed", "7900016f"),
        ("longer head than needed", "9800"),
        ("longer head than needed", "b800"),
        ("longer head than needed", "a1180101"),
        ("one deterministic encoding", "a202010101"),
        ("one deterministic encoding", "a201010102"),
        ("not decodable", "61ff"),
        ("not decodable", "62c080"),
        ("not decodable", "63eda080"),
        ("indefinite or reserved", "1c"),
        ("indefinite or reserved", "1f"),
        ("indefinite or reserved", "5f"),
        ("indefinite or reserved", "ff"),
        ("tag", "d201"),
        ("tag", "d82301"),
        ("tag", "d9d9f700"),
        ("not allowed", "f814"),
        ("not allowed", "e0"),
        ("ends too early", ""),
        ("ends too early", "18"),
        ("ends too early", "1b00000000"),
        ("ends too early", "a101"),
        ("longer than the data", "42ff"),
        ("longer than the data", "5bffffffffffffffff"),
        ("longer than the data", "9bffffffffffffffff"),
        ("longer than the data", "bbffffffffffffffff"),
        ("map key", "a12001"),
        ("map key", "a14001"),
        ("map key", "a1f401"),
        ("map key", "a18001"),
    ],
)
def test_a_second_way_to_say_it_is_refused(reason: str, example: str) -> None:
    with pytest.raises(DocumentError, match=reason):
        decode(bytes.fromhex(example), "here")


def test_unsorted_and_repeated_keys_are_refused_and_sorted_ones_are_not() -> None:
    sorted_keys = bytes.fromhex("a3 01 00 18 18 00 3a00010000 00")
    assert decode(sorted_keys, "here") == {1: 0, 24: 0, -65537: 0}
    for other in ("a3 18 18 00 01 00 3a00010000 00", "a3 3a00010000 00 01 00 18 18 00", "a2 01 00 01 00"):
        with pytest.raises(DocumentError, match="one deterministic encoding"):
            decode(bytes.fromhex(other), "here")


@pytest.mark.parametrize("depth", [0, 1, CBOR_DEPTH_MAX])
@pytest.mark.parametrize(("opening", "innermost"), [(b"\x81", b"\x00"), (b"\xa1\x00", b"\x00")])
def test_depth_within_the_limit_is_allowed(depth: int, opening: bytes, innermost: bytes) -> None:
    data = opening * depth + innermost
    assert encode(decode(data, "here")) == data


@pytest.mark.parametrize("depth", [CBOR_DEPTH_MAX + 1, 300, 100_000])
@pytest.mark.parametrize("opening", [b"\x81", b"\xa1\x00", b"\x82\x00"])
def test_depth_over_the_limit_is_refused_before_anything_recurses(depth: int, opening: bytes) -> None:
    with pytest.raises(DocumentError, match=f"deeper than {CBOR_DEPTH_MAX}"):
        decode(opening * depth + b"\x00", "here")


def test_items_up_to_the_limit_are_allowed_and_one_more_is_not() -> None:
    def array(members: int) -> bytes:
        return b"\x99" + members.to_bytes(2, "big") + bytes(members)

    assert len(array(CBOR_ITEMS_MAX - 1)) == CBOR_ITEMS_MAX + 2
    assert decode(array(CBOR_ITEMS_MAX - 1), "here") == (0,) * (CBOR_ITEMS_MAX - 1)
    with pytest.raises(DocumentError, match=f"over {CBOR_ITEMS_MAX} items"):
        decode(array(CBOR_ITEMS_MAX), "here")


# --- map keys ------------------------------------------------------------------------------------

allowed_keys = st.one_of(
    st.integers(0, 2**32 - 1),
    st.integers(-(2**32), PRIVATE_KEY_MAX),
    st.sampled_from([0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, PRIVATE_KEY_MAX, -(2**32)]),
)


@given(st.lists(allowed_keys, unique=True))
def test_for_allowed_keys_the_length_first_order_is_the_bytewise_one(keys: list[int]) -> None:
    """RFC 8949 section 4.2.1 against 4.2.3, which `cbor2` follows."""
    heads = [cbor2.dumps(key) for key in keys]
    assert sorted(heads) == sorted(heads, key=lambda head: (len(head), head))


@given(st.dictionaries(allowed_keys, st.integers(0, 9), max_size=8))
def test_maps_are_encoded_in_bytewise_order(value: dict[int, Value]) -> None:
    members = sorted((cbor2.dumps(key), cbor2.dumps(member)) for key, member in value.items())
    assert encode(value) == bytes([0xA0 + len(value)]) + b"".join(key + member for key, member in members)
    assert decode(encode(value), "here") == value


@pytest.mark.parametrize("key", [2**32, 2**64 - 1, -1, -24, PRIVATE_KEY_MAX + 1, -(2**32) - 1, -(2**64)])
def test_keys_for_which_the_two_orders_could_differ_are_refused(key: int) -> None:
    with pytest.raises(DocumentError, match="map key that is neither unsigned nor private"):
        decode(encode({key: 0}), "here")


def test_a_long_string_is_no_map_key_although_its_length_would_do() -> None:
    with pytest.raises(DocumentError, match="map key that is neither unsigned nor private"):
        decode(b"\xa1\x5a\x00\x01\x00\x00" + bytes(65536) + b"\x00", "here")


def test_the_two_orders_do_differ_outside_the_allowed_keys() -> None:
    """Why keys stop at 2^32: nine bytes of head sort last by length and first by value."""
    wide, private = cbor2.dumps(2**32), cbor2.dumps(PRIVATE_KEY_MAX)
    assert sorted([wide, private]) == [wide, private]
    assert sorted([wide, private], key=len) == [private, wide]


# --- anything ------------------------------------------------------------------------------------

values = st.recursive(
    st.one_of(st.integers(-(2**64), 2**64 - 1), st.binary(max_size=40), st.text(max_size=20), st.booleans()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple), st.dictionaries(allowed_keys, inner, max_size=4)
    ),
    max_leaves=6,
)


@given(values)
def test_every_value_comes_back_from_its_one_encoding(value: Value) -> None:
    data = encode(value)
    assert decode(data, "here") == value
    assert walk(data, 0, "here") == len(data)


@given(st.binary(max_size=60))
def test_whatever_is_accepted_is_the_encoding_of_what_came_out(data: bytes) -> None:
    try:
        value = decode(data, "here")
    except DocumentError:
        return
    assert encode(value) == data


@given(values, st.data())
def test_one_byte_changed_is_another_value_or_refused(value: Value, chance: st.DataObject) -> None:
    data = bytearray(encode(value))
    data[chance.draw(st.integers(0, len(data) - 1))] ^= chance.draw(st.integers(1, 255))
    try:
        other = decode(bytes(data), "here")
    except DocumentError:
        return
    assert encode(other) == bytes(data)


def test_the_walk_finds_the_end_of_an_item_among_others() -> None:
    sequence = encode((1, 2)) + encode({1: "a"}) + b"\xff"
    first = walk(sequence, 0, "here")
    second = walk(sequence, first, "here")
    assert (sequence[:first], sequence[first:second]) == (encode((1, 2)), encode({1: "a"}))


def test_what_cannot_be_decoded_is_not_quoted() -> None:
    with pytest.raises(DocumentError) as caught:
        decode(bytes.fromhex("6261ff"), "here")
    assert str(caught.value) == "here: not decodable CBOR"
    assert cbor.decode(b"\x62ab", "here") == "ab"
