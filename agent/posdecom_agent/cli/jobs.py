"""``posdecom jobs``: every job in a folder, how far it is, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..wording import N_, _
from .output import Output, output_options, pass_output

if TYPE_CHECKING:
    from ..job import Job

WAITS_FOR: Final = {
    "flush": N_("the terminal on its cable: posdecom flush or posdecom retire"),
    "settle": N_("the acquirer's host: posdecom settle or posdecom retire"),
    "agree": N_("the acquirer's receipt: posdecom settle, or posdecom retire --receipt FILE"),
    "replace": N_("the replacement terminal: posdecom retire --replacement-port PORT"),
    "erase": N_("the terminal on its cable, to erase: posdecom retire"),
    "certify": N_("the technician's certificate: posdecom retire"),
    "close": N_("the acquirer's closure: posdecom retire --desk URL"),
    "done": N_("nothing; posdecom purge destroys the transactions on this laptop"),
}


@dataclass(frozen=True, slots=True)
class Description:
    """One job for people and for programs."""

    document: dict[str, object]
    text: str


def describe(job: Job, journal_file: Path) -> Description:
    from ..procedure import next_step

    body, step = job.order.body, next_step(job).value
    waits_for = N_("nothing; purged") if job.purged_at is not None else WAITS_FOR[step]
    in_custody = job.items_stored
    total = None if job.seal is None else job.seal.body.item_count
    document: dict[str, object] = {
        "journal": str(journal_file),
        "serial": body.serial,
        "order": body.order_id,
        "next_step": step,
        "waits_for": waits_for,
        "items_in_custody": in_custody,
        "items": total,
        "purged": job.purged_at is not None,
    }
    held = _("{done} of {total} messages in custody", done=in_custody, total=total or "?")
    if job.purged_at is not None:
        held = _("purged")
    first = _("{serial}  order {order}  {held}", serial=body.serial, order=body.order_id, held=held)
    return Description(document, f"{first}\n" + _("  waits for {what}", what=waits_for))


@click.command(
    "jobs", help=N_("""List the jobs in --journal: how far each is and what it waits for. Changes nothing.""")
)
@click.option(
    "--journal",
    "journal_folder",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help=N_("Where jobs are kept."),
)
@output_options
@pass_output
def command(output: Output, journal_folder: Path) -> None:
    found = list(_jobs(journal_folder))
    if not found:
        output.say(_("no job in {journal_folder}", journal_folder=journal_folder))
    output.result("jobs", {"jobs": [one.document for one in found]}, "\n".join(one.text for one in found))


def _jobs(folder: Path) -> Iterator[Description]:
    """A journal that cannot be read is listed with its reason, and does not hide the others."""
    from posdecom_protocol.errors import PosdecomError

    from ..trouble import Trouble, trouble_from
    from .work import open_job

    for path in sorted(folder.glob("*.journal")):
        try:
            with open_job(path) as job:
                one = describe(job, path)
                yield Description(one.document, f"{one.text}\n  {path}")
        except (PosdecomError, Trouble) as error:
            trouble = trouble_from(error)
            document: dict[str, object] = {"journal": str(path), "trouble": trouble.document()}
            yield Description(document, f"{path}\n  {trouble.message}: {trouble.cause}")
