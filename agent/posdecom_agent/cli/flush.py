"""``posdecom flush``: everything that the terminal holds into custody. Needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from ..wording import N_
from .output import Output, output_options, pass_output
from .work import FOLDER, terminal_options

CONSEQUENCE: Final = N_("The terminal trades no more; only the acquirer can take that back.")


@click.command(
    help=N_("""Freeze the terminal and bring everything that it holds into the job's journal.

    Needs no network. The terminal trades no more, and keeps everything until it holds the acquirer's receipt. Go on
    with posdecom settle, here or anywhere else, or with posdecom retire. With --out the order, the seal and all that
    the acquirer's desk needs are left there as files.""")
)
@terminal_options
@click.option(
    "--out", "out_folder", type=FOLDER, help=N_("Where order.cose, seal.cose and custody.posdecom go.")
)
@output_options
@pass_output
def command(
    output: Output,
    port_url: str | None,
    select: str | None,
    site_folder: Path,
    order_file: Path,
    journal_folder: Path,
    out_folder: Path | None,
    confirm_serial: str | None,
    plan_hash: str | None,
    reconnect_timeout: float,
    baud: tuple[int, int],
) -> None:
    from ..job import Job
    from ..line import WallClock
    from ..procedure import Step, carry_out
    from ..site import TechnicianSite
    from ..stations import RealStations
    from . import finish, work
    from .confirmation import Cable, Given, confirmed_line
    from .jobs import describe
    from .progress import Teller

    site, clock = TechnicianSite.load(site_folder), WallClock()
    order = work.read_order(order_file, site.anchors)
    site.check_dates(clock.now())
    cable, given = Cable(port_url, select, reconnect_timeout, baud), Given(confirm_serial, plan_hash)
    line = confirmed_line(output, site, order, journal_folder, cable, given, CONSEQUENCE)
    journal = finish.open_journal(journal_folder, order)
    job = Job(journal)
    try:
        job.begin(order.data)
        teller = Teller(output, job, clock)
        stations = RealStations(None, None, teller.watch, clock, site=site, line=line)
        carry_out(job, stations, teller.tell, Step.FLUSH)
        files = finish.carry_away(job, out_folder) if out_folder is not None else {}
        one = describe(job, finish.journal_file(journal_folder, order))
        text = "\n".join(filter(None, (one.text, finish.file_list(files))))
        output.result("flush", {**one.document, "files": files}, text)
    finally:
        journal.close()
