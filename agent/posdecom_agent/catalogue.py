"""Everything that can go wrong for a technician, as a table: code, class, exit code, what happened, why, what to do.

Codes, classes and exit codes are stable: scripts and manuals name them. No logic here; `trouble` fills in the texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """Exit codes, one for each class of outcome that a script may want to tell apart."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    DECLINED = 3
    """The operator said no, or there was nobody to ask. Never 0."""
    NOTHING_TO_DO = 4
    NO_TERMINAL = 10
    FORBIDDEN = 11
    SEVERAL_CANDIDATES = 12
    BUSY = 13
    LINK_LOST = 14
    PROTOCOL = 15
    FLUSH_INCOMPLETE = 20
    """Money is not yet where it belongs; the same command continues."""
    MISMATCH = 21
    ERASE_REFUSED = 22
    ERASE_UNVERIFIED = 23
    FORGED = 30
    """A document is broken, forged or claims more than it proves."""
    COMPLETE_WITH_EXCEPTIONS = 31
    INCOMPLETE = 32
    UNATTESTED = 33
    STORAGE = 40
    SOME_FAILED = 50
    ALL_FAILED = 51
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of trouble. The texts may hold ``{parameters}``, the same for all three."""

    code: str
    name: str
    exit: Exit
    message: str
    cause: str
    next_actions: tuple[str, ...]


AGAIN: Final = "run the same command again: it continues where it stopped"

# ---- the person and the machine

INTERNAL: Final = Entry(
    "PD-E01",
    "internal",
    Exit.INTERNAL,
    "posdecom itself failed ({exception})",
    "a mistake in posdecom, not in what you did; what was acknowledged is stored",
    (AGAIN, "if it fails again, report this line with the output of: posdecom --version"),
)
USAGE: Final = Entry(
    "PD-E02",
    "usage",
    Exit.USAGE,
    "{message}",
    "the command line cannot be understood; nothing was done",
    ("{command} --help",),
)
DECLINED: Final = Entry(
    "PD-E03",
    "declined",
    Exit.DECLINED,
    "not confirmed, so not done",
    "{cause}",
    ("run the command again and confirm", "without a keyboard, confirm by option: see --help"),
)
NOTHING_TO_DO: Final = Entry(
    "PD-E04", "nothing-to-do", Exit.NOTHING_TO_DO, "nothing to do", "{cause}", ("nothing",)
)
INTERRUPTED: Final = Entry(
    "PD-E05",
    "interrupted",
    Exit.INTERRUPTED,
    "interrupted",
    "stopped from outside; the state is safe",
    (AGAIN,),
)
FILE_MISSING: Final = Entry(
    "PD-E06",
    "file-missing",
    Exit.USAGE,
    "{file} is not there",
    "the file or folder does not exist",
    ("check the name and the folder",),
)
FILE_FORBIDDEN: Final = Entry(
    "PD-E07",
    "file-forbidden",
    Exit.FORBIDDEN,
    "{file} may not be used",
    "the system refuses this user the access",
    ("ls -ld {file}", "use a folder of your own"),
)
SYSTEM: Final = Entry(
    "PD-E08",
    "system",
    Exit.INTERNAL,
    "the operating system refused something ({reason})",
    "not a mistake in what you typed; what was acknowledged is stored",
    (AGAIN,),
)
SITE: Final = Entry(
    "PD-E09",
    "site",
    Exit.FORBIDDEN,
    "the technician's folder cannot be used",
    "{cause}",
    ("get a fresh certificate from whoever issues them (valid for 24 hours)",),
)

# ---- the port and the terminal

NO_TERMINAL: Final = Entry(
    "PD-E20",
    "no-terminal",
    Exit.NO_TERMINAL,
    "no terminal answers on {port}",
    "{cause}",
    ("check power and cable (some USB cables only charge)", "posdecom ports"),
)
PORT_FORBIDDEN: Final = Entry(
    "PD-E21",
    "port-forbidden",
    Exit.FORBIDDEN,
    "{port} exists, but this user may not open it",
    "{cause}",
    ("sudo usermod -aG {group} $USER, then log in again",),
)
PORT_MISSING: Final = Entry(
    "PD-E22",
    "port-missing",
    Exit.NO_TERMINAL,
    "{port} cannot be opened",
    "{cause}",
    ("check power and cable (some USB cables only charge)", "posdecom ports"),
)
PORT_BUSY: Final = Entry(
    "PD-E23",
    "port-busy",
    Exit.BUSY,
    "{port} is in use",
    "{cause}",
    ("close the other program, then run the same command again",),
)
SEVERAL_CANDIDATES: Final = Entry(
    "PD-E24",
    "several-candidates",
    Exit.SEVERAL_CANDIDATES,
    "{count} ports could be the terminal",
    "no port was named, and posdecom never guesses",
    ("posdecom ports", "name one with --port"),
)
LINK_LOST: Final = Entry(
    "PD-E25",
    "link-lost",
    Exit.LINK_LOST,
    "the line to the terminal broke ({port})",
    "{cause}",
    ("check power and cable, then " + AGAIN,),
)
PROTOCOL: Final = Entry(
    "PD-E26",
    "protocol",
    Exit.PROTOCOL,
    "the terminal sent what it may not send",
    "{cause}",
    (AGAIN, "if it repeats, this is no posdecom terminal or its software is damaged"),
)
PEER_REFUSED: Final = Entry(
    "PD-E27",
    "peer-refused",
    Exit.PROTOCOL,
    "no safe channel to the terminal",
    "{cause}",
    ("check the technician's certificate (valid for 24 hours) and the trust anchors",),
)
WRONG_TERMINAL: Final = Entry(
    "PD-E28",
    "wrong-terminal",
    Exit.NO_TERMINAL,
    "the terminal on {port} is not the one of the order",
    "found {found}, the order names {expected}",
    ("connect the terminal {expected}",),
)

# ---- what this machine keeps

DISK_FULL: Final = Entry(
    "PD-E30",
    "disk-full",
    Exit.STORAGE,
    "the disk cannot hold what comes next",
    "{cause}",
    ("free some space, then " + AGAIN,),
)
STORAGE_FAILED: Final = Entry(
    "PD-E31",
    "storage-failed",
    Exit.STORAGE,
    "the job's journal cannot be read or written",
    "{cause}",
    (AGAIN, "if it repeats, check the disk; the terminal still holds everything"),
)
JOURNAL_BUSY: Final = Entry(
    "PD-E32",
    "journal-busy",
    Exit.BUSY,
    "this job is already being worked on",
    "{cause}",
    ("wait for the other posdecom to end",),
)
JOURNAL_CORRUPT: Final = Entry(
    "PD-E33",
    "journal-corrupt",
    Exit.STORAGE,
    "the job's journal is damaged",
    "{cause}",
    ("keep the damaged file, start the job again in a new folder: the terminal still holds everything",),
)
UNSAFE_PLACE: Final = Entry(
    "PD-E34",
    "unsafe-place",
    Exit.STORAGE,
    "the job may not be kept there",
    "{cause}",
    ("use a folder of your own on a local disk (mode 0700)",),
)

# ---- documents and the acquirer

DOCUMENT: Final = Entry(
    "PD-E40",
    "document",
    Exit.FORGED,
    "a signed document cannot be accepted",
    "{cause}",
    ("get the document again from whoever signed it",),
)
HOST: Final = Entry(
    "PD-E50",
    "host",
    Exit.FLUSH_INCOMPLETE,
    "the acquirer's host answered what no dialect here knows",
    "{cause}",
    ("check host, port and dialect", AGAIN),
)
HOST_UNREACHABLE: Final = Entry(
    "PD-E51",
    "host-unreachable",
    Exit.FLUSH_INCOMPLETE,
    "{party} cannot be reached",
    "{cause}",
    ("check the network, then " + AGAIN,),
)
WAITING: Final = Entry(
    "PD-E52",
    "waiting",
    Exit.FLUSH_INCOMPLETE,
    "the job waits for {party}",
    "{cause}",
    (AGAIN,),
)
MISMATCH: Final = Entry(
    "PD-E53",
    "mismatch",
    Exit.MISMATCH,
    "the acquirer's books do not agree with the terminal's",
    "{cause}",
    ("call the acquirer with the order number; nothing is erased until they agree",),
)
CUSTODY_INCOMPLETE: Final = Entry(
    "PD-E54",
    "custody-incomplete",
    Exit.FLUSH_INCOMPLETE,
    "not everything that the terminal holds is in custody",
    "{cause}",
    ("read it out first: posdecom flush, with the terminal on its cable",),
)
RECEIPT_REFUSED: Final = Entry(
    "PD-E55",
    "receipt-refused",
    Exit.ERASE_REFUSED,
    "this receipt does not release this terminal",
    "{cause}",
    ("get a receipt for exactly this seal from the acquirer",),
)
NOT_YET: Final = Entry(
    "PD-E56",
    "not-yet",
    Exit.DECLINED,
    "the job is not to be purged yet",
    "{cause}",
    ("posdecom jobs lists what each job waits for",),
)
PURGE_CUT: Final = Entry(
    "PD-E57",
    "purge-cut",
    Exit.STORAGE,
    "a purge of this job was cut",
    "its transactions are half destroyed; documents and hashes are safe in the new journal",
    ("posdecom purge --journal {file}",),
)
ERASE_REFUSED: Final = Entry(
    "PD-E60",
    "erase-refused",
    Exit.ERASE_REFUSED,
    "the terminal refuses to erase",
    "{cause}",
    ("get a receipt for exactly this seal from the acquirer",),
)
ERASE_UNVERIFIED: Final = Entry(
    "PD-E61",
    "erase-unverified",
    Exit.ERASE_UNVERIFIED,
    "it is not proven that the keys are gone",
    "{cause}",
    ("keep the terminal in custody and call the acquirer",),
)
ORDER_REFUSED: Final = Entry(
    "PD-E62",
    "order-refused",
    Exit.ERASE_REFUSED,
    "the terminal does not take this order",
    "{cause}",
    ("get a new order for this terminal from the acquirer", "check the clocks of terminal and laptop"),
)
THAWED: Final = Entry(
    "PD-E63",
    "thawed",
    Exit.NOTHING_TO_DO,
    "terminal {serial} trades again",
    "the acquirer cancelled this decommission; what was settled stays settled",
    ("nothing; a later retirement needs a new order and a new journal folder",),
)

CANCELLATION_REFUSED: Final = Entry(
    "PD-E64",
    "cancellation-refused",
    Exit.ERASE_REFUSED,
    "the terminal does not take this cancellation",
    "{cause}",
    ("get a cancellation for exactly this seal from the acquirer",),
)

# fmt: off
CATALOGUE: Final[tuple[Entry, ...]] = (
    INTERNAL, USAGE, DECLINED, NOTHING_TO_DO, INTERRUPTED, FILE_MISSING, FILE_FORBIDDEN, SYSTEM, SITE,
    NO_TERMINAL, PORT_FORBIDDEN, PORT_MISSING, PORT_BUSY, SEVERAL_CANDIDATES, LINK_LOST, PROTOCOL,
    PEER_REFUSED, WRONG_TERMINAL,
    DISK_FULL, STORAGE_FAILED, JOURNAL_BUSY, JOURNAL_CORRUPT, UNSAFE_PLACE,
    DOCUMENT, HOST, HOST_UNREACHABLE, WAITING, MISMATCH, CUSTODY_INCOMPLETE, RECEIPT_REFUSED, NOT_YET, PURGE_CUT,
    ERASE_REFUSED, ERASE_UNVERIFIED, ORDER_REFUSED, THAWED,
    CANCELLATION_REFUSED,
)
# fmt: on
