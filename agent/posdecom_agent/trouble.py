"""What a technician sees when something goes wrong: an entry of the catalogue with safe parameters, in three lines.

    error[PD-E21]: /dev/ttyUSB0 exists, but this user may not open it
    cause: node is root:dialout 0660; you are in: users
    try: sudo usermod -aG dialout $USER, then log in again; see docs/errors.md#pd-e21

`trouble_from` turns any exception into a `Trouble`, in this one place. Parameters are names, numbers and reasons; the
errors that they come from promise no key, card number or payload, and what is unknown here is shown by its type alone.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from posdecom_protocol.errors import ChannelError, DocumentError, HostError, HostUntrusted, RemoteError

from . import catalogue
from .catalogue import Entry
from .catalogue import Exit as Exit
from .port_access import LinkLost, PortBusy, PortForbidden, PortMissing, group_of
from .site import SiteError
from .storage import DiskFull, JournalBusy, JournalCorrupt, StorageFailed, UnsafePlace
from .wording import N_, _, shown

PARAMETER_CHARACTERS_MAX: Final = 300
"""A cause is one line on a screen, whatever the other side sent."""

OWN_PARAMETERS: Final = frozenset({"next", "command"})
"""What this side says itself is shown whole: a command that is to be typed again."""


class Trouble(Exception):
    """An entry with its parameters filled in; a missing one fails here, not on the technician's screen."""

    def __init__(self, entry: Entry, **parameters: object) -> None:
        safe = {name: _one_line(shown(value), name in OWN_PARAMETERS) for name, value in parameters.items()}
        self.entry = entry
        self.message = _(entry.message).format(**safe)
        self.cause = _(entry.cause).format(**safe)
        self.next_actions = tuple(_(action).format(**safe) for action in entry.next_actions)
        super().__init__(f"{entry.code}: {self.message}")

    @property
    def exit(self) -> Exit:
        return self.entry.exit

    @property
    def page(self) -> str:
        """Where more is said about it, in both languages."""
        return f"docs/errors.md#{self.entry.code.lower()}"

    def lines(self) -> tuple[str, str, str]:
        """What a technician sees on stderr: always three lines."""
        return (
            _("error[{code}]: {message}", code=self.entry.code, message=self.message),
            _("cause: {cause}", cause=self.cause),
            _("try: {actions}; see {page}", actions=_("; or: ").join(self.next_actions), page=self.page),
        )

    def document(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "class": self.entry.name,
            "code": self.entry.code,
            "exit": int(self.exit),
            "message": self.message,
            "cause": self.cause,
            "next_actions": list(self.next_actions),
        }


def trouble_from(error: BaseException) -> Trouble:
    """Return ``error`` as a technician should meet it. Never fails; what is unknown is internal, by its type only."""
    for kind, translate in _TRANSLATIONS:
        if isinstance(error, kind):
            return translate(error)
    return Trouble(catalogue.INTERNAL, exception=type(error).__name__)


# ---- translation: the first row that fits, so an exception stands above its base


def _by(entry: Entry) -> Callable[[Any], Trouble]:
    """Errors whose text is the cause; those about a port bring its name along."""

    def translate(error: Any) -> Trouble:
        return Trouble(
            entry, cause=getattr(error, "cause", error), port=getattr(error, "port", N_("the port"))
        )

    return translate


def _forbidden(error: PortForbidden) -> Trouble:
    group = group_of(Path(error.port)) or "dialout"
    return Trouble(catalogue.PORT_FORBIDDEN, port=error.port, cause=error.cause, group=group)


def _system(error: OSError) -> Trouble:
    file = error.filename if isinstance(error.filename, str) else N_("the file")
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return Trouble(catalogue.DISK_FULL, cause=N_("the disk is full"))
        case errno.ENOENT | errno.ENOTDIR:
            return Trouble(catalogue.FILE_MISSING, file=file)
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return Trouble(catalogue.FILE_FORBIDDEN, file=file)
        case code:
            return Trouble(catalogue.SYSTEM, reason=errno.errorcode.get(code or 0, type(error).__name__))


_TRANSLATIONS: Final[tuple[tuple[type[BaseException], Callable[[Any], Trouble]], ...]] = (
    (Trouble, lambda trouble: trouble),
    (KeyboardInterrupt, lambda error: Trouble(catalogue.INTERRUPTED, next=catalogue.AGAIN)),
    (PortForbidden, _forbidden),
    (PortMissing, _by(catalogue.PORT_MISSING)),
    (PortBusy, _by(catalogue.PORT_BUSY)),
    (LinkLost, _by(catalogue.LINK_LOST)),
    (DiskFull, _by(catalogue.DISK_FULL)),
    (StorageFailed, _by(catalogue.STORAGE_FAILED)),
    (JournalBusy, _by(catalogue.JOURNAL_BUSY)),
    (JournalCorrupt, _by(catalogue.JOURNAL_CORRUPT)),
    (UnsafePlace, _by(catalogue.UNSAFE_PLACE)),
    (SiteError, _by(catalogue.SITE)),
    (ChannelError, _by(catalogue.PEER_REFUSED)),
    (RemoteError, _by(catalogue.PROTOCOL)),
    (DocumentError, _by(catalogue.DOCUMENT)),
    (HostUntrusted, _by(catalogue.HOST_UNTRUSTED)),
    (HostError, _by(catalogue.HOST)),
    (OSError, _system),
)


def _one_line(text: str, whole: bool = False) -> str:
    """No line break and no escape sequence of the other side reaches the screen."""
    return "".join(
        c if c.isprintable() else "?" for c in (text if whole else text[:PARAMETER_CHARACTERS_MAX])
    )
