"""``posdecom closure new``: the acquirer states that its side has forgotten the terminal."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ..wording import N_, _
from .acquirer import FILE, sign, signer_options
from .output import Output, output_options, pass_output


def _hex(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[bytes, ...]:
    try:
        return tuple(bytes.fromhex(value) for value in values)
    except ValueError as error:
        raise click.BadParameter(_("is no hexadecimal")) from error


@click.group("closure", help=N_("""The acquirer's tool for closures."""))
def command() -> None:
    pass


@command.command(
    "new",
    help=N_(
        """Sign the closure over CERTIFICATE. Append it to the certificate's file and the two verify together."""
    ),
)
@click.argument("certificate", type=FILE)
@click.option("--issuer", required=True, help=N_("Who closes, for people."))
@click.option(
    "--ksn-denied",
    multiple=True,
    callback=_hex,
    metavar="HEX",
    help=N_("Initial key id that is refused now."),
)
@click.option(
    "--key-deleted",
    "keys_deleted",
    multiple=True,
    help=N_("The host's copy of a key that is gone (TMK ...)."),
)
@click.option(
    "--revoked",
    multiple=True,
    callback=_hex,
    metavar="HEX",
    help=N_("Key id of a revoked device certificate."),
)
@click.option(
    "--refunds-open", default=0, type=click.IntRange(0), help=N_("Refunds that are not through yet.")
)
@click.option("--remark", default="", help=N_("For people."))
@signer_options
@output_options
@pass_output
def new(
    output: Output,
    certificate: Path,
    issuer: str,
    ksn_denied: tuple[bytes, ...],
    keys_deleted: tuple[str, ...],
    revoked: tuple[bytes, ...],
    refunds_open: int,
    remark: str,
    key_file: Path,
    chain_file: Path,
    out_file: Path,
) -> None:
    from posdecom_protocol.documents import open_document
    from posdecom_protocol.documents.certificate import Certificate
    from posdecom_protocol.documents.closure import Closure
    from posdecom_protocol.verdict import split

    signed = open_document(split(certificate.read_bytes())[0], Certificate)
    closure = Closure(
        closure_id=f"C-{signed.digest.hex()[:16]}",
        serial=signed.body.serial,
        certificate_digest=signed.digest,
        closed_at=int(time.time()),
        issuer=issuer,
        ksn_denied=ksn_denied,
        keys_deleted=keys_deleted,
        certificates_revoked=revoked,
        refunds_open=refunds_open,
        remark=remark,
    )
    sign(output, "closure-new", closure, key_file, chain_file, out_file)
