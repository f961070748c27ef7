"""A store that tells of every secret that is put into it. For tests and forensics only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from posdecom_protocol.secret import BytesLike
from posdecom_protocol.tr31_header import decode_header

from ..forensics.record import Kind, Note
from . import slots
from .slots import Slot
from .store import RegionErasure, Store

REGISTER_BYTES: Final = 16
"""Of either key set; what stands before the registers in their state is no secret and shorter."""

_BY_KEY: Final = {slot.key: slot for slot in slots.EVERY_SLOT}


class RecordingStore:
    """``store``, with ``note`` told what its slots get."""

    def __init__(self, store: Store, note: Note) -> None:
        self._store = store
        self._note = note

    def get(self, name: str) -> bytes | None:
        return self._store.get(name)

    def holds(self, name: str) -> bool:
        return self._store.holds(name)

    def put(self, values: Mapping[str, bytes]) -> None:
        secrets = {_BY_KEY[name]: value for name, value in values.items() if name in _BY_KEY}
        for slot, value in secrets.items():
            self._note(slot.name, Kind.STORED, secrets_in(slot, value))
        self._store.put(values)
        for slot in (slots.TMK, slots.TMK_TDES):
            if slot in secrets:
                self._note_wrapped(slot, secrets[slot])

    def erase(self, names: Iterable[str]) -> None:
        self._store.erase(names)

    def has_room(self, sizes: Mapping[str, int]) -> bool:
        return self._store.has_room(sizes)

    def names(self, prefix: str = "") -> Iterator[str]:
        return self._store.names(prefix)

    def sanitize(self, regions: Collection[str] | None = None) -> Mapping[str, RegionErasure]:
        return self._store.sanitize(regions)

    def region_of(self, name: str) -> str:
        return self._store.region_of(name)

    def _note_wrapped(self, slot: Slot, value: bytes) -> None:
        """A memory that keeps master keys wrapped makes its wrapping key with the first of them; see `hardware`."""
        wrapping_key = self._store.get(slots.WRAP.key)
        if wrapping_key is not None:
            self._note(slots.WRAP.name, Kind.STORED, [wrapping_key])
            self._note(slot.name, Kind.WRAPPED, [aes_key_wrap_with_padding(wrapping_key, value)])


def secrets_in(slot: Slot, value: BytesLike) -> Iterator[BytesLike]:
    """What of a slot's value is secret: each register that is filled, or the key itself."""
    if slot not in (slots.DUKPT, slots.DUKPT_TDES):
        yield value
        return
    for start in range(len(value) % REGISTER_BYTES, len(value), REGISTER_BYTES):
        register = value[start : start + REGISTER_BYTES]
        if any(register):
            yield register


def block_body(text: str) -> bytes:
    """The encrypted part of a key block, and its MAC."""
    return bytes.fromhex(text[len(decode_header(text)[1]) :])
