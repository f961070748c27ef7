"""Reading the items out: what is asked for ahead, what has arrived, and when it becomes durable.

Several reads are on the line at once, so that it never waits for this end. What arrives is stored in groups: each sync
of a disk takes as long as thousands of bytes take on a fast line.
"""

from __future__ import annotations

from typing import Final

from posdecom_protocol.errors import DocumentError, MessageError
from posdecom_protocol.messages import Items, PackedItems, ReadItems, ReadPacked
from posdecom_protocol.packed_items import unpack

from .job import Job

ITEMS_PER_READ: Final = 64
"""About one bulk of messages."""

READS_AHEAD: Final = 6
"""Of records that compress 2.4 : 1, a hundred milliseconds of a line of 3 Mbaud: longer than a disk syncs."""

GROUP_S: Final = 0.2
GROUP_BYTES: Final = 32 * 1024
"""Nothing waits for its sync beyond either of them: what is lost if the laptop dies, and read again."""


class Reading:
    """The items of one visit. ``is_packed``: the terminal can compress them."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._arrived: list[bytes] = []
        self._arrived_bytes = 0
        self._asked_up_to = 0
        self._synced_at: float | None = None
        self._was_refused = False
        self.is_packed = False

    @property
    def due_at(self) -> float | None:
        """When to call `store` at the latest."""
        return self._synced_at + GROUP_S if self._arrived and self._synced_at is not None else None

    def refused(self) -> None:
        """The terminal was busy at one of several reads: what it answers to the others may now leave a gap."""
        self._was_refused = True

    def begin(self) -> ReadItems | ReadPacked:
        """Ask anew for what is not here yet."""
        self._asked_up_to = self._here
        return self._read(self._here + 1, ITEMS_PER_READ)

    def next_request(self) -> ReadItems | ReadPacked | None:
        """One more read while items are missing, `READS_AHEAD` at once; the window beyond is the link's affair."""
        first, item_count = self._asked_up_to + 1, self._item_count
        under_way = self._asked_up_to - self._here
        if first > item_count or under_way > (READS_AHEAD - 1) * ITEMS_PER_READ:
            return None
        count = min(ITEMS_PER_READ, item_count - self._asked_up_to)
        self._asked_up_to += count
        return self._read(first, count)

    def take(self, reply: Items | PackedItems, now: float) -> None:
        """Keep what came, durably now or by `due_at`. `DocumentError` where it is not what was asked for."""
        items = _unpacked(reply)
        is_next = items.first == self._here + 1
        if self._was_refused and not is_next:
            return  # it is asked for again, or was
        if not is_next or self._here + len(items.items) > self._item_count:
            raise DocumentError("items", "came out of sequence")
        self._arrived += items.items
        self._arrived_bytes += sum(map(len, items.items))
        is_complete = self._here == self._item_count
        if is_complete or self._arrived_bytes >= GROUP_BYTES or self.due_at is None or now >= self.due_at:
            self.store(now)

    def store(self, now: float) -> None:
        """Make durable what has arrived."""
        arrived, self._arrived, self._arrived_bytes = self._arrived, [], 0
        if arrived:
            self._synced_at = now
            self._job.keep_items(self._job.items_stored + 1, arrived)

    # --- private -----------------------------------------------------------------------------------

    @property
    def _here(self) -> int:
        return self._job.items_stored + len(self._arrived)

    @property
    def _item_count(self) -> int:
        assert self._job.seal is not None
        return self._job.seal.body.item_count

    def _read(self, first: int, count: int) -> ReadItems | ReadPacked:
        return ReadPacked(first, count) if self.is_packed else ReadItems(first, count)


def _unpacked(reply: Items | PackedItems) -> Items:
    try:
        return unpack(reply) if isinstance(reply, PackedItems) else reply
    except MessageError as error:
        raise DocumentError("items", "do not unpack") from error
