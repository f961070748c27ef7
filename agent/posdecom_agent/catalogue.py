"""Everything that can go wrong for a technician, as a table: code, class, exit code, what happened, why, what to do.

Codes, classes and exit codes are stable: scripts and manuals name them. No logic here; `trouble` fills in the texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from posdecom_protocol.wording import N_

from .exits import Exit as Exit


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of trouble. The texts may hold ``{parameters}``, the same for all three; words are `N_`."""

    code: str
    name: str
    exit: Exit
    message: str
    cause: str
    next_actions: tuple[str, ...]


AGAIN: Final = N_("run the same command again: it continues where it stopped")

# ---- the person and the machine

INTERNAL: Final = Entry(
    "PD-E01",
    "internal",
    Exit.INTERNAL,
    N_("posdecom itself failed ({exception})"),
    N_("a mistake in posdecom, not in what you did; what was acknowledged is stored"),
    (AGAIN, N_("if it fails again, report this line with the output of: posdecom --version")),
)
USAGE: Final = Entry(
    "PD-E02",
    "usage",
    Exit.USAGE,
    "{message}",
    N_("the command line cannot be understood; nothing was done"),
    ("{command} --help",),
)
DECLINED: Final = Entry(
    "PD-E03",
    "declined",
    Exit.DECLINED,
    N_("not confirmed, so not done"),
    "{cause}",
    (N_("run the command again and confirm"), N_("without a keyboard: --confirm-serial SERIAL")),
)
NOTHING_TO_DO: Final = Entry(
    "PD-E04", "nothing-to-do", Exit.NOTHING_TO_DO, N_("nothing to do"), "{cause}", (N_("nothing"),)
)
INTERRUPTED: Final = Entry(
    "PD-E05",
    "interrupted",
    Exit.INTERRUPTED,
    N_("interrupted"),
    N_("stopped from outside; the state is safe"),
    ("{next}",),
)
FILE_MISSING: Final = Entry(
    "PD-E06",
    "file-missing",
    Exit.USAGE,
    N_("{file} is not there"),
    N_("the file or folder does not exist"),
    (N_("check the name and the folder"),),
)
FILE_FORBIDDEN: Final = Entry(
    "PD-E07",
    "file-forbidden",
    Exit.FORBIDDEN,
    N_("{file} may not be used"),
    N_("the system refuses this user the access"),
    ("ls -ld {file}", N_("use a folder of your own")),
)
SYSTEM: Final = Entry(
    "PD-E08",
    "system",
    Exit.STORAGE,
    N_("the operating system refused something ({reason})"),
    N_("not a mistake in what you typed; what was acknowledged is stored"),
    (AGAIN,),
)
SITE: Final = Entry(
    "PD-E09",
    "site",
    Exit.FORBIDDEN,
    N_("the technician's folder cannot be used"),
    "{cause}",
    (N_("check --site"), N_("get a fresh certificate from whoever issues them (valid for 24 hours)")),
)

# ---- the port and the terminal

NO_TERMINAL: Final = Entry(
    "PD-E20",
    "no-terminal",
    Exit.NO_TERMINAL,
    N_("no terminal answers on {port}"),
    "{cause}",
    (N_("check power and cable (some USB cables only charge)"), "posdecom doctor"),
)
PORT_FORBIDDEN: Final = Entry(
    "PD-E21",
    "port-forbidden",
    Exit.FORBIDDEN,
    N_("{port} exists, but this user may not open it"),
    "{cause}",
    (N_("sudo usermod -aG {group} $USER, then log in again"),),
)
PORT_MISSING: Final = Entry(
    "PD-E22",
    "port-missing",
    Exit.NO_TERMINAL,
    N_("{port} cannot be opened"),
    "{cause}",
    (N_("check power and cable (some USB cables only charge)"), "posdecom doctor"),
)
PORT_BUSY: Final = Entry(
    "PD-E23",
    "port-busy",
    Exit.BUSY,
    N_("{port} is in use"),
    "{cause}",
    (N_("close the other program, then run the same command again"),),
)
SEVERAL_CANDIDATES: Final = Entry(
    "PD-E24",
    "several-candidates",
    Exit.SEVERAL_CANDIDATES,
    N_("{count} ports could be the terminal"),
    N_("no port was named, and posdecom never guesses"),
    ("posdecom ports", N_("name one: --port NAME, or --select SERIAL")),
)
LINK_LOST: Final = Entry(
    "PD-E25",
    "link-lost",
    Exit.LINK_LOST,
    N_("the line to the terminal broke ({port})"),
    "{cause}",
    (N_("check power and cable, then run the same command again: it continues where it stopped"),),
)
PROTOCOL: Final = Entry(
    "PD-E26",
    "protocol",
    Exit.PROTOCOL,
    N_("the terminal sent what it may not send"),
    "{cause}",
    (AGAIN, N_("if it repeats, this is no posdecom terminal or its software is damaged")),
)
PEER_REFUSED: Final = Entry(
    "PD-E27",
    "peer-refused",
    Exit.PROTOCOL,
    N_("no safe channel to the terminal"),
    "{cause}",
    (N_("check the technician's certificate (valid for 24 hours) and the trust anchors"),),
)
WRONG_TERMINAL: Final = Entry(
    "PD-E28",
    "wrong-terminal",
    Exit.NO_TERMINAL,
    N_("the terminal on {port} is not the one of the order"),
    N_("found {found}, the order names {expected}"),
    (N_("connect the terminal {expected}"),),
)
PLAN_CHANGED: Final = Entry(
    "PD-E29",
    "plan-changed",
    Exit.DECLINED,
    N_("the terminal is not as it was planned, so nothing was done"),
    N_("the plan's hash was {planned}, now it is {found}"),
    ("posdecom plan", N_("look at the new plan, then confirm that")),
)

# ---- what this machine keeps

DISK_FULL: Final = Entry(
    "PD-E30",
    "disk-full",
    Exit.STORAGE,
    N_("the disk cannot hold what comes next"),
    "{cause}",
    (N_("free some space, then run the same command again: it continues where it stopped"),),
)
STORAGE_FAILED: Final = Entry(
    "PD-E31",
    "storage-failed",
    Exit.STORAGE,
    N_("the job's journal cannot be read or written"),
    "{cause}",
    (AGAIN, N_("if it repeats, check the disk; the terminal still holds everything")),
)
JOURNAL_BUSY: Final = Entry(
    "PD-E32",
    "journal-busy",
    Exit.BUSY,
    N_("this job is already being worked on"),
    "{cause}",
    (N_("wait for the other posdecom to end"),),
)
JOURNAL_CORRUPT: Final = Entry(
    "PD-E33",
    "journal-corrupt",
    Exit.STORAGE,
    N_("the job's journal is damaged"),
    "{cause}",
    (N_("keep the damaged file, start the job again in a new folder: the terminal still holds everything"),),
)
UNSAFE_PLACE: Final = Entry(
    "PD-E34",
    "unsafe-place",
    Exit.STORAGE,
    N_("the job may not be kept there"),
    "{cause}",
    (N_("use a folder of your own on a local disk (mode 0700)"),),
)

# ---- documents and the acquirer

DOCUMENT: Final = Entry(
    "PD-E40",
    "document",
    Exit.FORGED,
    N_("a signed document cannot be accepted"),
    "{cause}",
    (N_("get the document again from whoever signed it"),),
)
HOST: Final = Entry(
    "PD-E50",
    "host",
    Exit.FLUSH_INCOMPLETE,
    N_("the acquirer's host answered what no dialect here knows"),
    "{cause}",
    (N_("check host, port and dialect"), AGAIN),
)
HOST_UNREACHABLE: Final = Entry(
    "PD-E51",
    "host-unreachable",
    Exit.FLUSH_INCOMPLETE,
    N_("{party} cannot be reached"),
    "{cause}",
    (N_("check the network, then run the same command again: it continues where it stopped"),),
)
WAITING: Final = Entry(
    "PD-E52",
    "waiting",
    Exit.FLUSH_INCOMPLETE,
    N_("the job waits for {party}"),
    "{cause}",
    (AGAIN,),
)
MISMATCH: Final = Entry(
    "PD-E53",
    "mismatch",
    Exit.MISMATCH,
    N_("the acquirer's books do not agree with the terminal's"),
    "{cause}",
    (N_("call the acquirer with the order number; nothing is erased until they agree"),),
)
CUSTODY_INCOMPLETE: Final = Entry(
    "PD-E54",
    "custody-incomplete",
    Exit.FLUSH_INCOMPLETE,
    N_("not everything that the terminal holds is in custody"),
    "{cause}",
    (N_("read it out first: posdecom flush, with the terminal on its cable"),),
)
RECEIPT_REFUSED: Final = Entry(
    "PD-E55",
    "receipt-refused",
    Exit.ERASE_REFUSED,
    N_("this receipt does not release this terminal"),
    "{cause}",
    (N_("get a receipt for exactly this seal from the acquirer"),),
)
NOT_YET: Final = Entry(
    "PD-E56",
    "not-yet",
    Exit.DECLINED,
    N_("the job is not to be purged yet"),
    "{cause}",
    (N_("posdecom jobs lists what each job waits for"),),
)
PURGE_CUT: Final = Entry(
    "PD-E57",
    "purge-cut",
    Exit.STORAGE,
    N_("a purge of this job was cut"),
    N_("its transactions are half destroyed; documents and hashes are safe in the new journal"),
    ("posdecom purge --journal {file}",),
)
HOST_UNTRUSTED: Final = Entry(
    "PD-E58",
    "host-untrusted",
    Exit.FLUSH_INCOMPLETE,
    N_("what answers is not proved to be the acquirer's host; nothing was sent to it"),
    "{cause}",
    (N_("check --host and the CA file (host_ca.pem of the --site, or --host-ca) with the acquirer"),),
)
ERASE_REFUSED: Final = Entry(
    "PD-E60",
    "erase-refused",
    Exit.ERASE_REFUSED,
    N_("the terminal refuses to erase"),
    "{cause}",
    (N_("get a receipt for exactly this seal from the acquirer"),),
)
ERASE_UNVERIFIED: Final = Entry(
    "PD-E61",
    "erase-unverified",
    Exit.ERASE_UNVERIFIED,
    N_("it is not proven that the keys are gone"),
    "{cause}",
    (N_("keep the terminal in custody and call the acquirer"),),
)
ORDER_REFUSED: Final = Entry(
    "PD-E62",
    "order-refused",
    Exit.ERASE_REFUSED,
    N_("the terminal does not take this order"),
    "{cause}",
    (
        N_("get a new order for this terminal from the acquirer"),
        N_("check the clocks of terminal and laptop"),
    ),
)
THAWED: Final = Entry(
    "PD-E63",
    "thawed",
    Exit.NOTHING_TO_DO,
    N_("terminal {serial} trades again"),
    N_("the acquirer cancelled this decommission; what was settled stays settled"),
    (N_("nothing; a later retirement needs a new order and a new journal folder"),),
)

REPLACEMENT: Final = Entry(
    "PD-E65",
    "replacement",
    Exit.NO_TERMINAL,
    N_("the replacement terminal {serial} is not ready to take over"),
    "{cause}",
    (N_("put it into service first; nothing is erased before"), N_("get a new order from the acquirer")),
)
CANCELLATION_REFUSED: Final = Entry(
    "PD-E64",
    "cancellation-refused",
    Exit.ERASE_REFUSED,
    N_("the terminal does not take this cancellation"),
    "{cause}",
    (N_("get a cancellation for exactly this seal from the acquirer"),),
)

SALVAGED: Final = Entry(
    "PD-E66",
    "salvaged",
    Exit.ERASE_REFUSED,
    N_(
        "terminal {serial} was tampered with: its keys are gone, and nothing can be sealed or erased any more"
    ),
    "{cause}",
    (
        N_("keep the terminal in custody; the next step needs it no more"),
        N_(
            "posdecom retire --absent under the same order, with --desk: certifies it and hands the records over"
        ),
        N_(
            "an order that lists no key to revoke does not do: get one made with --revoke, and read out again"
        ),
    ),
)
CASE: Final = Entry(
    "PD-E70",
    "case",
    Exit.USAGE,
    N_("the case in {file} has a mistake"),
    "{cause}",
    (
        N_("mend that line, then: posdecom case check {file}"),
        N_("posdecom case new --template shows every key"),
    ),
)
GLYPHS: Final = Entry(
    "PD-E71",
    "glyphs",
    Exit.USAGE,
    N_("no PDF: no font here has a character of this certificate"),
    "{cause}",
    (N_("give a font that has it: posdecom view --font FILE"),),
)
NOT_ABSENT: Final = Entry(
    "PD-E72",
    "not-absent",
    Exit.USAGE,
    N_("terminal {serial} cannot be certified as absent"),
    "{cause}",
    (N_("connect it and run posdecom retire without --absent"), N_("get a new order from the acquirer")),
)

# fmt: off
CATALOGUE: Final[tuple[Entry, ...]] = (
    INTERNAL, USAGE, DECLINED, NOTHING_TO_DO, INTERRUPTED, FILE_MISSING, FILE_FORBIDDEN, SYSTEM, SITE,
    NO_TERMINAL, PORT_FORBIDDEN, PORT_MISSING, PORT_BUSY, SEVERAL_CANDIDATES, LINK_LOST, PROTOCOL,
    PEER_REFUSED, WRONG_TERMINAL, PLAN_CHANGED,
    DISK_FULL, STORAGE_FAILED, JOURNAL_BUSY, JOURNAL_CORRUPT, UNSAFE_PLACE,
    DOCUMENT, HOST, HOST_UNREACHABLE, WAITING, MISMATCH, CUSTODY_INCOMPLETE, RECEIPT_REFUSED,
    NOT_YET, PURGE_CUT, HOST_UNTRUSTED, ERASE_REFUSED, ERASE_UNVERIFIED, ORDER_REFUSED, THAWED,
    CANCELLATION_REFUSED, REPLACEMENT, SALVAGED, CASE, GLYPHS, NOT_ABSENT,
)
# fmt: on
