"""``posdecom explain``: what stands in a signed document. Reads, and judges nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..wording import N_
from .output import Output, output_options, pass_output

if TYPE_CHECKING:
    from posdecom_protocol.documents import Signed


@click.command(
    help=N_("""Show the fields of DOCUMENT: an order, seal, receipt, evidence, certificate, closure or cancellation.

    Signatures are NOT judged here: that is what verify does.""")
)
@click.argument("document", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@output_options
@pass_output
def command(output: Output, document: Path) -> None:
    from posdecom_protocol.documents import open_any
    from posdecom_protocol.verdict import FILE_BYTES_MAX, split

    with document.open("rb") as file:
        parts = split(file.read(FILE_BYTES_MAX + 1))
    signed = [one for part in parts for one in (*_inside(part), open_any(part))]
    text = "\n\n".join("\n".join(_text(one)) for one in signed)
    output.result("explain", {"documents": [_json(one) for one in signed]}, text)


def _inside(data: bytes) -> Iterator[Signed[Any]]:
    """The documents that a certificate holds, in the order of the chain; nothing for any other document."""
    from posdecom_protocol.documents import open_any
    from posdecom_protocol.documents.certificate import Certificate

    body = open_any(data).body
    if isinstance(body, Certificate):
        held = (body.order, body.seal, *body.receipts, body.evidence)
        yield from (open_any(one) for one in held if one is not None)


def _text(signed: Signed[Any]) -> Iterator[str]:
    from posdecom_protocol.documents import SHAPES
    from posdecom_protocol.schema import lines

    yield f"{type(signed.body).__name__.upper()}  sha256 {signed.digest.hex()}"
    yield f"signed with key {signed.sign1.kid.hex()}, signature not judged here"
    for level, name, text in lines(SHAPES[type(signed.body)].record, signed.body):
        yield f"{'  ' * (level + 1)}{name}{':' if text else ''} {text}".rstrip()


def _json(signed: Signed[Any]) -> dict[str, object]:
    from posdecom_protocol.documents import SHAPES
    from posdecom_protocol.schema import lines

    fields = lines(SHAPES[type(signed.body)].record, signed.body)
    return {
        "type": type(signed.body).__name__.lower(),
        "sha256": signed.digest.hex(),
        "key_id": signed.sign1.kid.hex(),
        "fields": [{"level": level, "name": name, "text": text} for level, name, text in fields],
    }
