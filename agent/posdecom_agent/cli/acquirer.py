"""What the acquirer's three tools share: options, times, and where the signed document goes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ..wording import N_, _
from .output import Output

if TYPE_CHECKING:
    from posdecom_protocol.cose import SigningKey

FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
NEW_FILE: Final = click.Path(path_type=Path, dir_okay=False)
F = TypeVar("F", bound=Callable[..., Any])


def signer_options(command: F) -> F:
    """``--key``, ``--certificate`` and ``--out``: who signs, and where to."""
    for option in (
        click.option(
            "--out", "out_file", required=True, type=NEW_FILE, help=N_("Where the signed document goes.")
        ),
        click.option(
            "--certificate",
            "chain_file",
            required=True,
            type=FILE,
            help=N_("The signer's certificates, PEM."),
        ),
        click.option("--key", "key_file", required=True, type=FILE, help=N_("The signer's key, PEM.")),
    ):
        command = option(command)
    return command


def parse_time(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """ISO 8601 with a zone (``2026-11-21T18:00:00+08:00``, ``...Z``), as seconds since 1970."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(_("a time is written like 2026-11-21T18:00:00+08:00")) from error
    if moment.tzinfo is None:
        raise click.BadParameter(_("the time has no zone: add Z or +08:00"))
    return int(moment.timestamp())


def parse_keys(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[bytes, ...]:
    """Key identifiers in hexadecimal: a KSN's initial key id, the key id of a device certificate."""
    try:
        return tuple(bytes.fromhex(text) for text in value)
    except ValueError as error:
        raise click.BadParameter(_("a key identifier is written in hexadecimal digits")) from error


def sign(output: Output, command: str, body: Any, key_file: Path, chain_file: Path, path: Path) -> None:
    """Sign ``body`` and save it."""
    save(output, command, path, signed(body, load_key(key_file, chain_file)))


def load_key(key_file: Path, chain_file: Path) -> SigningKey:
    """Who signs. Files that are no pair were typed wrong: `click.UsageError`."""
    from ..signer import load_signer
    from ..site import SiteError

    try:
        return load_signer(key_file, chain_file)
    except SiteError as error:
        raise click.UsageError(str(error)) from error


def signed(body: Any, key: SigningKey) -> bytes:
    """``body`` as a document. Whatever cannot be signed was typed wrong: `click.UsageError`."""
    from posdecom_protocol.documents import issue
    from posdecom_protocol.errors import DocumentError

    try:
        return issue(body, key)
    except DocumentError as error:
        raise click.UsageError(_("this cannot be signed: {error}", error=error)) from error


def save(output: Output, command: str, path: Path, data: bytes) -> None:
    """Write the document and say its digest."""
    from posdecom_protocol.cose import digest

    from .finish import write_whole

    write_whole(path, data)
    name = digest(data).hex()
    output.result(command, {"file": str(path), "sha256": name, "bytes": len(data)}, f"{path}  sha256 {name}")
