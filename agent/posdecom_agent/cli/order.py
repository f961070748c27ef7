"""``posdecom order``: the acquirer orders a terminal out of service, or cancels that while it is frozen."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from ..wording import N_, _
from .acquirer import FILE, parse_keys, parse_time, sign, signer_options
from .output import Output, output_options, pass_output

if TYPE_CHECKING:
    from posdecom_protocol.documents.order import Account

_Pairs: TypeAlias = tuple[tuple[int, int], ...]


def _numbers(separator: str) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], _Pairs]:
    """Two numbers with ``separator`` between them."""

    def parse(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> _Pairs:
        pairs = []
        for text in texts:
            first, found, second = text.partition(separator)
            if not (found and first.isdecimal() and second.isdecimal()):
                raise click.BadParameter(_("is {shape}, two numbers", shape=parameter.metavar))
            pairs.append((int(first), int(second)))
        return tuple(pairs)

    return parse


@click.group("order", help=N_("""The acquirer's tool for orders."""))
def command() -> None:
    pass


@command.command("new", help=N_("""Make and sign an order for one terminal."""))
@click.option("--serial", required=True, help=N_("The terminal's serial."))
@click.option(
    "--account",
    "accounts",
    required=True,
    multiple=True,
    metavar="ACQUIRER/MID/TID",
    help=N_("Once for each that it trades for."),
)
@click.option(
    "--counter", required=True, type=click.IntRange(1), help=N_("Above that of every earlier order for it.")
)
@click.option("--issuer", required=True, help=N_("Who orders, for people."))
@click.option("--id", "order_id", help=N_("Name of the order (default: serial and counter)."))
@click.option(
    "--reason",
    default="closing",
    show_default=True,
    help=N_("closing, licence-withdrawn, contract-end, migration, fault, repair, lost, compromised."),
)
@click.option(
    "--mode", default="retire", show_default=True, type=click.Choice(["retire", "redeploy", "repair"])
)
@click.option(
    "--cutoff", callback=parse_time, help=N_("What was sold from then on is refunded or held (default: now).")
)
@click.option("--after-cutoff", default="refund", show_default=True, type=click.Choice(["refund", "hold"]))
@click.option("--preauths", default="list", show_default=True, type=click.Choice(["void", "list"]))
@click.option("--valid-from", callback=parse_time, help=N_("Default: now."))
@click.option("--valid-hours", default=72, show_default=True, type=click.IntRange(1, 24 * 366))
@click.option("--no-erase", is_flag=True, help=N_("Flush and settle only."))
@click.option(
    "--revoke",
    "revoked",
    multiple=True,
    metavar="HEX",
    callback=parse_keys,
    help=N_("A key identifier to revoke where the terminal cannot be reached; once for each."),
)
@click.option("--replacement", help=N_("Serial of the terminal that takes over."))
@click.option(
    "--replacement-account",
    "replacement_accounts",
    multiple=True,
    metavar="ACQUIRER/MID/TID",
    help=N_("What it must hold before this one is erased."),
)
@signer_options
@output_options
@pass_output
def new(
    output: Output,
    serial: str,
    accounts: tuple[str, ...],
    counter: int,
    issuer: str,
    order_id: str | None,
    reason: str,
    mode: str,
    cutoff: int | None,
    after_cutoff: str,
    preauths: str,
    valid_from: int | None,
    valid_hours: int,
    no_erase: bool,
    revoked: tuple[bytes, ...],
    replacement: str | None,
    replacement_accounts: tuple[str, ...],
    key_file: Path,
    chain_file: Path,
    out_file: Path,
) -> None:
    """Every option is a field of the order; its times default to now."""
    from posdecom_protocol.documents.order import Action, AfterCutoff, Mode, Order, Preauths, Reason

    now = int(time.time())
    if reason.upper().replace("-", "_") not in Reason.__members__:
        raise click.BadParameter(_("no such reason"), param_hint="--reason")
    start = now if valid_from is None else valid_from
    order = Order(
        order_id=order_id or f"{serial}-{counter}",
        counter=counter,
        issued_at=now,
        not_before=start,
        not_after=start + valid_hours * 3600,
        serial=serial,
        accounts=_accounts(accounts, "--account"),
        reason=Reason[reason.upper().replace("-", "_")],
        mode=Mode[mode.upper()],
        cutoff_at=now if cutoff is None else cutoff,
        after_cutoff=AfterCutoff[after_cutoff.upper()],
        preauths=Preauths[preauths.upper()],
        actions=(Action.FLUSH,) if no_erase else (Action.FLUSH, Action.ERASE),
        issuer=issuer,
        replacement=replacement,
        revoke=revoked or None,
        replacement_accounts=_accounts(replacement_accounts, "--replacement-account") or None,
    )
    sign(output, "order-new", order, key_file, chain_file, out_file)


def _accounts(texts: tuple[str, ...], option: str) -> tuple[Account, ...]:
    from posdecom_protocol.documents.order import Account

    named = [text.split("/") for text in texts]
    if any(len(parts) != 3 for parts in named):
        raise click.BadParameter(_("an account is ACQUIRER/MID/TID"), param_hint=option)
    return tuple(Account(*parts) for parts in named)


@command.command(
    "cancel",
    help=N_("""Sign the cancellation that thaws exactly the terminal of --seal: it trades again, old receipts are dead.

    --delivered and --closed say what the acquirer has booked: the terminal will not send it again.
    """),
)
@click.option("--seal", "seal_file", required=True, type=FILE, help=N_("The seal of the frozen terminal."))
@click.option("--issuer", required=True, help=N_("Who cancels, for people."))
@click.option("--reason", required=True, help=N_("For people."))
@click.option(
    "--delivered",
    multiple=True,
    metavar="FIRST-LAST",
    callback=_numbers("-"),
    help=N_("Item sequences that the host has taken."),
)
@click.option(
    "--closed", multiple=True, type=click.IntRange(0), help=N_("Index of a context settled as a whole.")
)
@click.option(
    "--next-batch",
    "next_batches",
    multiple=True,
    metavar="CONTEXT:BATCH",
    callback=_numbers(":"),
    help=N_("The batch number that a closed context goes on with; one for each."),
)
@signer_options
@output_options
@pass_output
def cancel(
    output: Output,
    seal_file: Path,
    issuer: str,
    reason: str,
    delivered: tuple[tuple[int, int], ...],
    closed: tuple[int, ...],
    next_batches: tuple[tuple[int, int], ...],
    key_file: Path,
    chain_file: Path,
    out_file: Path,
) -> None:
    from posdecom_protocol.documents import open_document
    from posdecom_protocol.documents.cancellation import Cancellation, NextBatch, Span
    from posdecom_protocol.documents.seal import Seal

    seal = open_document(seal_file.read_bytes(), Seal)
    cancellation = Cancellation(
        cancellation_id=f"X-{seal.digest.hex()[:16]}",
        serial=seal.body.serial,
        seal_digest=seal.digest,
        challenge=seal.body.challenge,
        issued_at=int(time.time()),
        issuer=issuer,
        delivered=tuple(Span(*span) for span in delivered),
        closed=closed,
        next_batches=tuple(NextBatch(*pair) for pair in next_batches),
        reason=reason,
    )
    sign(output, "order-cancel", cancellation, key_file, chain_file, out_file)
