"""What is on the laptop after a job: no card number, no key, in no file, no output, in no disguise."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path

from posdecom_protocol.tr31 import unwrap_key_block
from posdecom_simulator.population import populate
from posdecom_simulator.site import SiteTerminal
from real_parts import SERIAL, RealParts


def disguises_of_digits(number: str) -> Iterator[bytes]:
    """A card number as ASCII, as BCD in both alignments, as hexadecimal of either, and in Base64."""
    ascii_digits = number.encode("ascii")
    yield from disguises_of_bytes(ascii_digits)
    for digits in (number, "0" + number):
        # the outer bytes may share a nibble with a neighbour: look for what lies between
        yield bytes.fromhex(digits + "0" * (len(digits) % 2))[1:-1]


def disguises_of_bytes(secret: bytes) -> Iterator[bytes]:
    yield secret
    yield secret.hex().encode("ascii")
    yield secret.hex().upper().encode("ascii")
    yield secret[::-1]
    for phase in range(3):
        encoded = base64.b64encode(bytes(phase) + secret)
        # the characters at both ends depend on the neighbours
        yield encoded[4 if phase else 0 : -4]


def finds(haystacks: Iterable[bytes], needles: Iterable[bytes]) -> list[bytes]:
    wanted = list(needles)
    return [needle for data in haystacks for needle in wanted if needle in data]


def card_numbers(parts: RealParts) -> list[str]:
    """Every card number of the terminal's day: the seed makes them, whatever the clock says."""
    contexts = SiteTerminal.load(parts.site / "terminals" / SERIAL).settings.contexts
    return [one.card_number for one in populate(parts.seed, parts.transactions, contexts, 0)]


def terminal_keys(parts: RealParts) -> list[bytes]:
    keys = SiteTerminal.load(parts.site / "terminals" / SERIAL).keys
    masters = {"B": keys.clear["TMK-TDES"], "D": keys.clear["TMK"]}
    wrapped = [unwrap_key_block(masters[block[0]], block).key for block in keys.blocks.values()]
    return [bytes(key.data) for key in (*keys.clear.values(), *wrapped)]


def test_no_card_number_and_no_key_is_on_the_laptop_after_a_job(tmp_path: Path) -> None:
    with RealParts(tmp_path, transactions=60) as parts:
        parts.start_acquirer()
        parts.write_order()
        parts.wait_for_terminal(parts.start_terminal())
        looked = parts.run(
            ["posdecom_agent", "info", "--port", parts.tty, "--site", parts.site / "technician", "--json"]
        )
        # killed on the way, so that the write-ahead log of the journal is still there
        killed = parts.retire("journal", "close", "1", "before")
        assert killed.returncode == -9
        files = [
            path for folder in (parts.journal, parts.out) for path in folder.rglob("*") if path.is_file()
        ]
        left = [path.read_bytes() for path in files]
        done = parts.retire()
        assert done.returncode == 0, done.stderr
        explained = parts.run(["posdecom_agent", "explain", parts.out / "certificate.posdecom"])
        files = [
            path for folder in (parts.journal, parts.out) for path in folder.rglob("*") if path.is_file()
        ]
        left += [path.read_bytes() for path in files]
        for run in (looked, killed, done, explained):
            left += [run.stdout.encode(), run.stderr.encode()]
        digits = [needle for number in card_numbers(parts) for needle in disguises_of_digits(number)]
        keys = [needle for key in terminal_keys(parts) for needle in disguises_of_bytes(key)]
        assert len(digits) > 300
        assert finds(left, digits + keys) == []


def test_the_search_finds_a_planted_number_and_key_in_every_disguise() -> None:
    number, key = "4000001234567899", bytes(range(16))
    shapes = [*disguises_of_digits(number), *disguises_of_bytes(key)]
    for phase in range(3):
        planted = b"..." + base64.b64encode(b"x" * phase + number.encode() + b"yz") + b"..."
        assert finds([planted], disguises_of_digits(number)), phase
    for shape in shapes:
        assert finds([b"before" + shape + b"after"], shapes)
    # BCD that starts in the middle of a byte
    assert finds([bytes.fromhex("9" + number + "7")], disguises_of_digits(number))
