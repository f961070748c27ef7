"""What a capture holds, read back by a reader of this file's own, and by Wireshark's with our dissector."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posdecom_agent.capture import (
    FRAME_BYTES_MAX,
    NOISE_BYTES_MAX,
    REDACTED,
    Capture,
    CapturedPort,
    Direction,
    open_capture,
    without_contents,
)
from posdecom_protocol.frames import UNSEEDED_KINDS, Frame, FrameDecoder, FrameKind, encode_frame
from posdecom_protocol.greeting import Hello, Service
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import (
    LAYOUTS,
    Confirmed,
    Items,
    Message,
    OfferRelease,
    ReadItems,
    Refusal,
    Refused,
)
from posdecom_simulator.world.faults import FaultPlan
from posdecom_simulator.world.line import Noise
from posdecom_world import stations
from posdecom_world.run import run

DISSECTOR = Path(__file__).parents[2] / "protocol" / "wireshark" / "posdecom.lua"
ID = 0x5EED0001
SECRET = b"4000001234567899"


class Kept(BytesIO):
    """Its bytes outlive its closing."""

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Packet:
    interface: int
    direction: Direction
    time_ns: int
    data: bytes
    comment: str | None


def packets(capture: bytes) -> list[Packet]:
    """The packets of a little-endian pcapng file: an implementation of its own."""
    at, found = 0, list[Packet]()
    while at < len(capture):
        kind, length = struct.unpack_from("<II", capture, at)
        assert length % 4 == 0
        assert struct.unpack_from("<I", capture, at + length - 4) == (length,)
        if kind == 6:
            interface, high, low, held, original = struct.unpack_from("<IIIII", capture, at + 8)
            assert held == original
            options = dict(_options(capture[at + 28 + held + -held % 4 : at + length - 4]))
            (flags,) = struct.unpack("<I", options[2])
            comment = options[1].decode() if 1 in options else None
            data = capture[at + 28 : at + 28 + held]
            found.append(Packet(interface, Direction(flags), high << 32 | low, data, comment))
        at += length
    return found


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        code, length = struct.unpack_from("<HH", data)
        if code == 0:
            return
        yield code, data[4 : 4 + length]
        data = data[4 + length + -length % 4 :]


def hello(service: Service = Service.CHANNEL) -> bytes:
    return encode_frame(Frame(FrameKind.HELLO, 0, 0, Hello(ID, service).encode()), 0)


def frame_of(body: bytes, number: int = 0) -> bytes:
    return encode_frame(Frame(FrameKind.DATA, number, 0, body), ID)


def captured(*chunks: bytes, direction: Direction = Direction.TO_TERMINAL) -> list[Packet]:
    file = Kept()
    capture = Capture(file, "test")
    for number, chunk in enumerate(chunks):
        capture.line(direction, chunk, 1_700_000_000.5 + number)
    capture.close()
    return packets(file.getvalue())


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.binary(min_size=1, max_size=60).map(frame_of),
        st.just(hello()),
        st.binary(min_size=1, max_size=60).map(lambda body: b"\xff" + frame_of(body)[1:]),
    ),
    max_size=8,
)


@given(PIECES, st.integers(1, 97))
def test_whatever_was_on_the_line_is_in_the_capture_once_and_in_order(
    pieces: list[bytes], chunk: int
) -> None:
    line = b"".join(pieces)
    found = captured(*(line[at : at + chunk] for at in range(0, len(line), chunk)))
    assert b"".join(packet.data for packet in found) == line


def test_each_good_frame_is_a_packet_of_its_own_and_what_is_between_two_is_another() -> None:
    first, damaged, last = frame_of(b"one"), bytearray(frame_of(b"two")), frame_of(b"three")
    damaged[-1] ^= 1
    line = hello() + first + bytes(damaged) + b"noise" + last
    assert [packet.data for packet in captured(line)] == [hello(), first, bytes(damaged) + b"noise", last]


def test_direction_and_time_stand_with_each_packet() -> None:
    (packet,) = captured(hello(), direction=Direction.FROM_TERMINAL)
    assert (packet.interface, packet.direction) == (0, Direction.FROM_TERMINAL)
    assert packet.time_ns == 1_700_000_000_500_000_000


def test_a_line_of_nothing_but_noise_is_not_held_in_memory() -> None:
    found = captured(b"\xa7" * (3 * NOISE_BYTES_MAX))
    assert sum(len(packet.data) for packet in found) == 3 * NOISE_BYTES_MAX
    assert len(found[0].data) <= 3 * NOISE_BYTES_MAX - FRAME_BYTES_MAX


def test_a_header_made_of_noise_hides_no_frame_behind_it() -> None:
    header = encode_frame(Frame(FrameKind.DATA, 0, 0, bytes(4000)), ID)[:8]
    found = captured(hello() + header + frame_of(b"real"))
    assert [packet.data for packet in found] == [hello(), header, frame_of(b"real")]


def test_a_salvage_is_captured_without_its_bodies() -> None:
    found = captured(hello(Service.SALVAGE) + frame_of(SECRET) + b"torn " + SECRET)
    assert SECRET not in b"".join(packet.data for packet in found)
    assert [packet.comment for packet in found] == [None, REDACTED, REDACTED]
    assert found[1].data == frame_of(bytes(len(SECRET))), "its length, and a CRC that fits"


def test_what_of_a_salvage_comes_late_or_beside_a_terminals_greeting_is_left_out_too() -> None:
    file = Kept()
    capture = Capture(file, "test")
    there, back = Direction.TO_TERMINAL, Direction.FROM_TERMINAL
    late = frame_of(b"late " + SECRET)
    capture.line(there, hello(Service.SALVAGE), 0.0)
    capture.line(back, hello(Service.PROOFS) + frame_of(SECRET) + late[:20], 0.1)
    next_hello = Hello(ID + 1, Service.IDENTIFY)
    capture.line(there, encode_frame(Frame(FrameKind.HELLO, 0, 0, next_hello.encode()), 0), 0.2)
    capture.line(back, late[20:], 0.3)
    capture.close()
    assert SECRET not in b"".join(packet.data for packet in packets(file.getvalue()))


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (Items(7, (SECRET, b"x")), Items(7, (bytes(len(SECRET)), b"\0"))),
        (OfferRelease((SECRET,)), OfferRelease((bytes(len(SECRET)),))),
        (Confirmed(LifecycleState.ACTIVE, False), Confirmed(LifecycleState.ACTIVE, False)),
    ],
)
def test_a_message_is_captured_without_what_it_carries(message: Message, shown: Message) -> None:
    assert without_contents(message) == shown


def test_a_disk_that_is_full_ends_the_capture_and_not_the_job() -> None:
    class Full(Kept):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    capture = Capture(Full(), "test")
    capture.line(Direction.TO_TERMINAL, hello(), 0.0)
    assert capture.failed is not None


def test_a_capture_never_overwrites_a_file_and_is_its_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "job.pcapng"
    open_capture(path, "test").close()
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        open_capture(path, "test")


# --- Wireshark ---------------------------------------------------------------------------------------------------


@dataclass
class Tapped:
    """The bytes of both directions as they went, and the capture that was made of them."""

    raw: dict[Direction, bytearray] = field(default_factory=lambda: {each: bytearray() for each in Direction})
    file: Kept = field(default_factory=Kept)


def tapped_run(monkeypatch: pytest.MonkeyPatch, plan: FaultPlan) -> Tapped:
    """One decommission over a virtual line with real TLS, captured as the agent captures."""
    tapped, port_of = Tapped(), stations.VirtualPort
    capture = Capture(tapped.file, "test")

    class TappedPort(port_of):  # type: ignore[misc, valid-type]  # the class is a parameter here
        def __init__(self, world: Any) -> None:
            super().__init__(world)
            inner = port_of(world)
            inner._incoming, inner._outgoing = self._incoming, self._outgoing
            self._captured = CapturedPort(inner, capture, lambda: world.line.now)

        def read(self, timeout_s: float) -> bytes:
            data = self._captured.read(timeout_s)
            tapped.raw[Direction.FROM_TERMINAL] += data
            return data

        def write(self, data: bytes) -> int:
            tapped.raw[Direction.TO_TERMINAL] += data
            return self._captured.write(data)

    monkeypatch.setattr(stations, "VirtualPort", TappedPort)
    run(4, 5, "B", plan)
    capture.close()
    return tapped


def decoded(tapped: Tapped, direction: Direction) -> Counter[tuple[int, int, int, int]]:
    """Kind, number, offset and length of each good frame, by the project's own decoder, one connection at a time."""
    said = _frames(tapped.raw[Direction.TO_TERMINAL], 0)
    ids = {Hello.decode(frame.body).connection_id for frame in said if frame.kind is FrameKind.HELLO}
    raw = tapped.raw[direction]
    found = [frame for frame in _frames(raw, 0) if frame.kind in UNSEEDED_KINDS]
    found += [frame for one in ids for frame in _frames(raw, one) if frame.kind not in UNSEEDED_KINDS]
    return Counter((frame.kind, frame.number, frame.offset, len(frame.body)) for frame in found)


def _frames(data: bytes | bytearray, connection_id: int) -> list[Frame]:
    decoder = FrameDecoder()
    decoder.connection_id = connection_id
    decoder.receive(bytes(data))
    found = list(iter(decoder.next_frame, None))
    while decoder.is_waiting:  # what looks like a header in ciphertext may ask for more than there is
        decoder.give_up()
        found += iter(decoder.next_frame, None)
    return found


FIELDS = ("frame.packet_flags_direction", "posdecom.kind", "posdecom.number", "posdecom.offset", "posdecom.length",
          "posdecom.crc.status", "posdecom.noise", "posdecom_message.type", "posdecom_message.first",
          "posdecom_message.reason")  # fmt: skip


def dissected(path: Path) -> list[dict[str, str]]:
    options = [part for name in FIELDS for part in ("-e", name)]
    command = ["tshark", "-X", f"lua_script:{DISSECTOR}", "-r", str(path), "-T", "json", *options]
    shown = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return [{name: values[0] for name, values in packet["_source"]["layers"].items()} for packet in shown]


NOISY = FaultPlan(Noise(flip=3e-4, drop=1e-4, garbage=0.2))
needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


@needs_tshark
@pytest.mark.parametrize(
    ("plan", "is_noisy"),
    [pytest.param(FaultPlan(), False, id="clean"), pytest.param(NOISY, True, id="noisy")],
)
def test_wireshark_sees_the_frames_that_our_own_decoder_sees(
    plan: FaultPlan, is_noisy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tapped = tapped_run(monkeypatch, plan)
    path = tmp_path / "job.pcapng"
    path.write_bytes(tapped.file.getvalue())
    shown = dissected(path)
    for direction in Direction:
        good = Counter(
            tuple(int(packet[f"posdecom.{name}"]) for name in ("kind", "number", "offset", "length"))
            for packet in shown
            if packet.get("posdecom.crc.status") == "1"
            and int(packet["frame.packet_flags_direction"], 0) == direction
        )
        assert good == decoded(tapped, direction)
        assert sum(good.values()) > 20
    damaged = [packet for packet in shown if packet.get("posdecom.crc.status", "1") != "1"]
    noise = [packet for packet in shown if "posdecom.noise" in packet]
    assert bool(damaged) == bool(noise) == is_noisy, "garbage comes before one chunk in five"


@needs_tshark
def test_wireshark_names_the_messages_of_the_channel(tmp_path: Path) -> None:
    file = Kept()
    capture = Capture(file, "test")
    capture.message(Direction.TO_TERMINAL, ReadItems(7, 2), 1.0)
    capture.message(Direction.FROM_TERMINAL, Items(7, (SECRET, b"x")), 2.0)
    capture.message(Direction.FROM_TERMINAL, Refused(Refusal.STATE), 3.0)
    path = tmp_path / "messages.pcapng"
    path.write_bytes(file.getvalue())
    shown = dissected(path)
    assert [packet["posdecom_message.type"] for packet in shown] == ["0x03", "0x84", "0x89"]
    assert [packet.get("posdecom_message.first") for packet in shown] == ["7", "7", None]
    assert shown[2]["posdecom_message.reason"] == str(Refusal.STATE.value)
    assert SECRET not in file.getvalue()


def test_the_dissector_knows_every_kind_message_state_and_refusal() -> None:
    """Its tables are its own: a value that is added here must be added there."""
    text = DISSECTOR.read_text()
    for layout in LAYOUTS:
        assert f'[0x{layout.number:02X}] = "{layout.of.__name__}"' in text
    for state in LifecycleState:
        assert f'[{state.value}] = "{state.name}"' in text
    for kind in FrameKind:
        assert f'[{kind.value}] = "{kind.name}"' in text
    for service in Service:
        assert f'[{service.value}] = "{service.name}"' in text
    refusals = text[text.index("local REFUSALS") : text.index("local m =")]
    assert re.findall(r'"([A-Z_]+)"', refusals) == [refusal.name for refusal in Refusal]
