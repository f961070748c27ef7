"""``posdecom-sim bind``: the maker's part in taking a blank terminal back into service."""

from __future__ import annotations

import time
from pathlib import Path

import click

from posdecom_protocol.cose import digest
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.bind import Bind
from posdecom_protocol.documents.certificate import Certificate
from posdecom_protocol.documents.evidence import Evidence
from posdecom_protocol.errors import DocumentError

from ..provision import BIND
from ..site import Identity, SiteTerminal


@click.command(
    help="Sign a bind: the terminal whose erase PROOF tells of may be loaded by its next owner, once. PROOF is the"
    " decommission certificate, or the terminal's evidence in it; the bind is written to OUTPUT."
)
@click.argument("proof", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--maker",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The maker's folder, SITE/maker.",
)
@click.option(
    "--to",
    "terminal",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The next owner's folder for this terminal, SITE/terminals/SERIAL: whom it will trust.",
)
def command(proof: Path, output: Path, maker: Path, terminal: Path) -> None:
    document = _evidence(proof.read_bytes())
    erased, owner, now = open_document(document, Evidence).body, SiteTerminal.load(terminal), int(time.time())
    body = Bind(
        bind_id=f"bind-{erased.serial}-{now}",
        serial=erased.serial,
        evidence_digest=digest(document),
        issued_at=now,
        issuer=owner.settings.manufacturer,
        acquirer_anchors=owner.acquirer_anchors.pem(),
        technician_anchors=owner.technician_anchors.pem(),
    )
    output.write_bytes(issue(body, Identity.load(maker, BIND).signing_key()))
    click.echo(f"{body.bind_id} for {body.serial}: {output}")


def _evidence(proof: bytes) -> bytes:
    try:
        certificate = open_document(proof, Certificate).body
    except DocumentError:
        return proof
    if certificate.evidence is None:
        raise click.ClickException(
            "the certificate holds no evidence: that terminal was not erased by an order"
        )
    return certificate.evidence
