"""``posdecom receipt``: the acquirer releases the erase over a seal, with one signature or two."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..wording import N_, _
from . import acquirer
from .acquirer import FILE, signer_options
from .output import Output, output_options, pass_output
from .vocabulary import word

if TYPE_CHECKING:
    from posdecom_protocol.documents.receipt import Receipt
    from posdecom_protocol.documents.seal import Seal
    from posdecom_protocol.money import Tally
    from posdecom_protocol.release import Findings

_HINT: Final = "--undelivered"


@click.group("receipt", help=N_("""The acquirer's tool for receipts."""))
def command() -> None:
    pass


@command.command(
    "new",
    help=N_("""Sign a receipt over --seal: everything that it counts was delivered, but for what --undelivered names.

    By hand this believes the seal. The release desk signs only what its own books agree with. An exception is signed
    only where every message that can be read is in --custody.
    """),
)
@click.option("--order", "order_file", required=True, type=FILE, help=N_("The order that the seal is under."))
@click.option("--seal", "seal_file", required=True, type=FILE, help=N_("The terminal's seal."))
@click.option("--issuer", required=True, help=N_("Who releases, for people."))
@click.option(
    "--exception", is_flag=True, help=N_("Nothing more can be delivered; needs a second signature.")
)
@click.option(
    "--undelivered",
    multiple=True,
    metavar="CONTEXT:COUNT:AMOUNT",
    help=N_("What is given up in a context, in minor units; needs a second signature."),
)
@click.option(
    "--custody",
    "custody_file",
    type=FILE,
    help=N_("The custody file of this seal (posdecom flush --out); an exception needs it."),
)
@click.option(
    "--unreadable",
    type=click.IntRange(0),
    default=0,
    help=N_("How many messages of an exception's seal nobody can read any more."),
)
@click.option("--remark", default="", help=N_("For people."))
@signer_options
@output_options
@pass_output
def new(
    output: Output,
    order_file: Path,
    seal_file: Path,
    issuer: str,
    exception: bool,
    undelivered: tuple[str, ...],
    custody_file: Path | None,
    unreadable: int,
    remark: str,
    key_file: Path,
    chain_file: Path,
    out_file: Path,
) -> None:
    from posdecom_protocol.documents import open_document
    from posdecom_protocol.documents.order import Order
    from posdecom_protocol.documents.receipt import Basis
    from posdecom_protocol.documents.seal import Seal
    from posdecom_protocol.release import Terms, receipt_over

    from ..judgement import check_custody

    order = open_document(order_file.read_bytes(), Order)
    seal = open_document(seal_file.read_bytes(), Seal)
    if seal.body.order_digest != order.digest:
        raise click.UsageError(_("the seal is not under this order"))
    if exception and custody_file is None:
        raise click.UsageError(_("an exception needs --custody: every message that can be read comes first"))
    if exception and custody_file is not None:
        check_custody(custody_file.read_bytes(), order, seal, unreadable)
    basis = Basis.EXCEPTION if exception else Basis.AGREED
    terms = Terms(f"R-{seal.digest.hex()[:16]}", issuer, int(time.time()), basis, remark)
    receipt = receipt_over(order, seal, _findings(seal.body, undelivered), terms)
    acquirer.sign(output, "receipt-new", receipt, key_file, chain_file, out_file)
    if receipt.needs_second_signature:
        output.say(_("this receipt counts only with a second signature: posdecom receipt sign"))


@command.command(
    "sign",
    help=N_("""Put a second signature under exactly what RECEIPT says, by another key.

    RECEIPT must be signed by somebody who may release, over a seal of the order's terminal; what it gives up is shown.
    Written is only what the terminal will take, by the terminal's own conditions."""),
)
@click.argument("receipt", type=FILE)
@click.option("--order", "order_file", required=True, type=FILE, help=N_("The order that the seal is under."))
@click.option(
    "--seal", "seal_file", required=True, type=FILE, help=N_("The terminal's seal, from the terminal.")
)
@click.option("--trust", required=True, type=FILE, help=N_("PEM bundle of your own and the maker's anchors."))
@signer_options
@output_options
@pass_output
def sign(
    output: Output,
    receipt: Path,
    order_file: Path,
    seal_file: Path,
    trust: Path,
    key_file: Path,
    chain_file: Path,
    out_file: Path,
) -> None:
    from posdecom_protocol.certificates import Role
    from posdecom_protocol.documents import authenticate, open_document
    from posdecom_protocol.documents.receipt import Receipt
    from posdecom_protocol.documents.seal import Seal

    from ..judgement import check_receipts_over, check_seal
    from . import work

    key, anchors = acquirer.load_key(key_file, chain_file), work.read_trust(trust)
    order = work.read_order(order_file, anchors)
    seal = open_document(seal_file.read_bytes(), Seal)
    check_seal(seal, order, anchors)
    first = open_document(receipt.read_bytes(), Receipt)
    authenticate(first, anchors, first.body.issued_at, Role.RELEASE)
    for line in _sums(first.body, seal.body):
        output.say(line)
    second = acquirer.signed(first.body, key)
    check_receipts_over((first.data, second), order, seal, anchors)
    acquirer.save(output, "receipt-sign", out_file, second)


def _sums(receipt: Receipt, seal: Seal) -> Iterator[str]:
    """What somebody who signs has to know: which terminal, and what became of the money."""
    yield _(
        "receipt {name} of {issuer} over terminal {serial}, {basis}",
        name=receipt.receipt_id,
        issuer=receipt.issuer,
        serial=receipt.serial,
        basis=word(receipt.basis),
    )
    accounts = {
        one.index: _("{mid}/{tid} batch {batch}", mid=one.mid, tid=one.tid, batch=one.batch)
        for one in seal.contexts
    }
    for one in receipt.contexts:
        tallies = (
            (_("delivered"), one.delivered),
            (_("refused"), one.refused),
            (_("undelivered"), one.undelivered),
            (_("withheld"), one.withheld),
        )
        sums = ", ".join(
            _("{what} {count} for {amount}", what=what, count=tally.count, amount=tally.amount)
            for what, tally in tallies
        )
        account = accounts.get(one.index, _("no account"))
        yield "  " + _(
            "{account}, currency {currency}, minor units: {sums}",
            account=account,
            currency=one.currency,
            sums=sums,
        )
    if receipt.remark:
        yield f"  {receipt.remark}"


def _findings(seal: Seal, undelivered: tuple[str, ...]) -> dict[int, Findings]:
    """Everything that ``seal`` counts as delivered, but for what is given up."""
    from posdecom_protocol.money import Tally
    from posdecom_protocol.release import Findings, all_delivered

    findings = {context.index: all_delivered(context) for context in seal.contexts}
    for text in undelivered:
        index, lost = _given_up(text)
        if index not in findings or findings[index].undelivered != Tally():
            raise click.BadParameter(
                _("context {index} is not in the seal, or named twice", index=index), param_hint=_HINT
            )
        whole = findings[index].delivered
        if lost.count > whole.count or lost.amount > whole.amount:
            raise click.BadParameter(_("context {index} holds less than that", index=index), param_hint=_HINT)
        rest = Tally(whole.count - lost.count, whole.amount - lost.amount)
        findings[index] = Findings(rest, undelivered=lost)
    return findings


def _given_up(text: str) -> tuple[int, Tally]:
    from posdecom_protocol.money import Tally

    parts = text.split(":")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise click.BadParameter(_("what is given up is CONTEXT:COUNT:AMOUNT"), param_hint=_HINT)
    index, count, amount = map(int, parts)
    return index, Tally(count, amount)
