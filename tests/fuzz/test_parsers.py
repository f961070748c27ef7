"""Bytes from elsewhere, damaged in every way that Hypothesis thinks of: a parser takes them or says its own error.

It does so within a fixed amount of memory, whatever lengths the bytes announce.
"""

from __future__ import annotations

import ssl
import tracemalloc
from collections.abc import Callable
from functools import lru_cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posdecom_agent.job import Job
from posdecom_agent.journal import MemoryJournal, Row
from posdecom_protocol.certificates import load_anchors
from posdecom_protocol.errors import DocumentError

from .corpus import corpus
from .parsers import PARSERS

MEMORY_BYTES_MAX = 16 * 1024 * 1024
"""What one parser may hold at once beyond its input; the largest input is half a megabyte."""

SETTINGS = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

Edit = Callable[[bytes], bytes]


@lru_cache(maxsize=32)
def seeds(name: str) -> tuple[bytes, ...]:
    """Distinct, the short ones first."""
    found = sorted(set(PARSERS[name].seeds()), key=len)
    assert found, f"no seeds for {name}"
    return tuple(found)


@st.composite
def damaged(draw: st.DrawFn, name: str) -> bytes:
    """A seed with up to six edits."""
    known = st.sampled_from(seeds(name))
    data = bytearray(draw(known))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 64))
        match draw(st.sampled_from(["flip", "set", "cut", "insert", "repeat", "end", "splice"])):
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "set" if at < len(data):
                data[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
            case "cut":
                del data[at : at + size]
            case "insert":
                data[at:at] = draw(st.binary(max_size=32))
            case "repeat":
                data[at:at] = data[at : at + size] * draw(st.integers(1, 8))
            case "end":
                del data[at:]
            case "splice":
                other = draw(known)
                data[at:] = other[min(at, len(other)) :]
            case _:
                pass
    return bytes(data)


def hold(name: str, examples: int) -> None:
    @settings(SETTINGS, max_examples=examples)
    @given(damaged(name))
    def within_bounds(data: bytes) -> None:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        PARSERS[name](data)
        _, peak = tracemalloc.get_traced_memory()
        assert peak - before < MEMORY_BYTES_MAX

    seeds(name)
    tracemalloc.start()
    try:
        within_bounds()
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", PARSERS)
def test_damaged_bytes_are_taken_or_refused_by_name_within_bounds(name: str) -> None:
    hold(name, examples=12)


@pytest.mark.long
@pytest.mark.parametrize("name", PARSERS)
def test_much_more_damage_changes_nothing(name: str) -> None:
    hold(name, examples=400)


@pytest.mark.parametrize("name", PARSERS)
def test_every_parser_takes_a_seed_of_its_own(name: str) -> None:
    """Otherwise the damage would be to bytes that are refused at once."""
    assert any(PARSERS[name](seed) for seed in seeds(name))


# --- what the coverage-guided fuzzer found ------------------------------------------------------------------------


def test_a_certificate_of_an_unknown_version_in_a_bundle_is_refused_by_name() -> None:
    """The library raises an error for it that is no `ValueError`."""
    first = seeds("anchors")[0].decode().partition("-----END")[0] + "-----END CERTIFICATE-----\n"
    body = ssl.PEM_cert_to_DER_cert(first)
    version_3 = bytes.fromhex("A003020102")
    assert version_3 in body
    bundle = ssl.DER_cert_to_PEM_cert(body.replace(version_3, bytes.fromhex("A003020142"), 1))
    with pytest.raises(DocumentError, match="trust anchors"):
        load_anchors(bundle.encode())


@pytest.mark.parametrize("kinds", [("order",), ("order", "seal")])
def test_a_journal_that_offers_an_item_again_which_it_has_not_is_refused_by_name(
    kinds: tuple[str, ...],
) -> None:
    rows = [row for row in corpus().rows if row.kind in kinds]
    with pytest.raises(DocumentError, match="journal"):
        Job(MemoryJournal([*rows, Row("again", 10_000, b"")]))
