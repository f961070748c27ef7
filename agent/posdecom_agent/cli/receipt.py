"""``posdecom receipt``: the acquirer releases the erase over a seal, with one signature or two."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .acquirer import FILE, save, signer_options
from .output import Output, output_options, pass_output

if TYPE_CHECKING:
    from posdecom_protocol.money import Tally


@click.group("receipt")
def command() -> None:
    """The acquirer's tool for receipts."""


@command.command("new")
@click.option("--order", "order_file", required=True, type=FILE, help="The order that the seal is under.")
@click.option("--seal", "seal_file", required=True, type=FILE, help="The terminal's seal.")
@click.option("--issuer", required=True, help="Who releases, for people.")
@click.option("--exception", is_flag=True, help="Nothing more can be delivered; needs a second signature.")
@click.option(
    "--undelivered",
    multiple=True,
    metavar="CONTEXT:COUNT:AMOUNT",
    help="What is given up in a context, in minor units; needs a second signature.",
)
@click.option("--remark", default="", help="For people.")
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
    remark: str,
    key_file: Path,
    chain_file: Path,
    out_file: Path,
) -> None:
    """Sign a receipt over --seal: everything that it counts was delivered, but for what --undelivered names.

    By hand this believes the seal. The release desk signs only what its own books agree with.
    """
    from posdecom_protocol.documents import issue, open_document
    from posdecom_protocol.documents.order import Order
    from posdecom_protocol.documents.receipt import Basis
    from posdecom_protocol.documents.seal import Seal
    from posdecom_protocol.money import Tally
    from posdecom_protocol.release import Findings, Terms, all_delivered, receipt_over

    from ..signer import load_signer

    order = open_document(order_file.read_bytes(), Order)
    seal = open_document(seal_file.read_bytes(), Seal)
    findings = {context.index: all_delivered(context) for context in seal.body.contexts}
    for text in undelivered:
        index, lost = _given_up(text)
        if index not in findings:
            raise click.BadParameter(f"the seal has no context {index}", param_hint="--undelivered")
        whole = findings[index].delivered
        findings[index] = Findings(
            Tally(whole.count - lost.count, whole.amount - lost.amount), undelivered=lost
        )
    basis = Basis.EXCEPTION if exception else Basis.AGREED
    terms = Terms(f"R-{seal.digest.hex()[:16]}", issuer, int(time.time()), basis, remark)
    receipt = receipt_over(order, seal, findings, terms)
    save(output, "receipt-new", out_file, issue(receipt, load_signer(key_file, chain_file)))
    if receipt.needs_second_signature:
        output.say("this receipt counts only with a second signature: posdecom receipt sign")


@command.command("sign")
@click.argument("receipt", type=FILE)
@signer_options
@output_options
@pass_output
def sign(output: Output, receipt: Path, key_file: Path, chain_file: Path, out_file: Path) -> None:
    """Put a second signature under exactly what RECEIPT says, by another key."""
    from posdecom_protocol.documents import issue, open_document
    from posdecom_protocol.documents.receipt import Receipt

    from ..signer import load_signer

    body = open_document(receipt.read_bytes(), Receipt).body
    save(output, "receipt-sign", out_file, issue(body, load_signer(key_file, chain_file)))


def _given_up(text: str) -> tuple[int, Tally]:
    from posdecom_protocol.money import Tally

    parts = text.split(":")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise click.BadParameter("what is given up is CONTEXT:COUNT:AMOUNT", param_hint="--undelivered")
    index, count, amount = map(int, parts)
    return index, Tally(count, amount)
