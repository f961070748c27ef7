"""``posdecom purge``: destroy the transactions of a closed job on this laptop; documents and hashes stay."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ..wording import N_
from .acquirer import parse_time
from .output import Output, output_options, pass_output
from .work import journal_option


@click.command(
    "purge",
    help=N_("""Destroy a job's transactions on this laptop, once the acquirer has closed it. IRREVERSIBLE.

    Ciphertext and masked summaries go; the documents, the host's answers and a hash of each message stay.
    """),
)
@journal_option
@click.option(
    "--retain-until",
    callback=parse_time,
    metavar="TIME",
    help=N_(
        "Refuse before this time (2027-03-01T00:00:00Z); the case's own retention date counts in any event."
    ),
)
@output_options
@pass_output
def command(output: Output, journal_file: Path, retain_until: int | None) -> None:
    from .. import catalogue
    from ..case.retention import retained_until
    from ..procedure import Step, next_step
    from ..purge import is_interrupted, purge
    from ..trouble import Trouble
    from .jobs import WAITS_FOR, describe
    from .work import open_job

    now = time.time()
    if not is_interrupted(journal_file):
        with open_job(journal_file) as job:
            step = next_step(job)
            if job.purged_at is not None:
                raise Trouble(
                    catalogue.NOTHING_TO_DO, cause=N_("the transactions of this job were purged before")
                )
            if step is not Step.DONE:
                raise Trouble(
                    catalogue.NOT_YET,
                    cause=N_("the job waits for {waits_for}", waits_for=WAITS_FOR[step.value]),
                )
            retain_until = max(filter(None, (retain_until, retained_until(job))), default=None)
        if retain_until is not None and now < retain_until:
            raise Trouble(catalogue.NOT_YET, cause=N_("its retention date has not come"))
    purge(journal_file, now)
    with open_job(journal_file) as job:
        one = describe(job, journal_file)
    output.result("purge", one.document, one.text)
