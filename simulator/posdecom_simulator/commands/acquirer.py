"""``posdecom-sim acquirer``: ISO 8583 host and release desk as one process."""

from __future__ import annotations

from pathlib import Path

import click

from ..acquirer.behaviour import Behaviour, Scenario
from ..acquirer.host_tls import server_context
from ..acquirer.scenario import ScenarioError, read_scenario
from ..acquirer.serve import Clerk, serve
from ..site import AcquirerSite


def _address(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter("an address is HOST:PORT; port 0 takes a free one")
    return host, int(port)


def _behaviour(context: click.Context, parameter: click.Parameter, value: Path | None) -> Behaviour:
    try:
        return Behaviour() if value is None else Scenario(read_scenario(value))
    except ScenarioError as error:
        raise click.BadParameter(str(error)) from error


@click.command(
    help="Run the acquirer: host on TCP, desk on HTTP. Kill it at any moment; its books are in --state."
)
@click.option(
    "--site", required=True, type=click.Path(path_type=Path, exists=True, file_okay=False), help="Demo site."
)
@click.option("--host", required=True, callback=_address, help="HOST:PORT of the ISO 8583 host.")
@click.option("--desk", required=True, callback=_address, help="HOST:PORT of the release desk.")
@click.option(
    "--state", required=True, type=click.Path(path_type=Path, file_okay=False), help="Books and signatures."
)
@click.option(
    "--approve", is_flag=True, help="A second signer approves what was refused, without being asked."
)
@click.option(
    "--host-tls", is_flag=True, help="The host speaks TLS, with the site's certificate, and only that."
)
@click.option(
    "--scenario",
    "behaviour",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    callback=_behaviour,
    help="What the host does wrong, as TOML (docs/settlement.md).",
)
def command(
    site: Path,
    host: tuple[str, int],
    desk: tuple[str, int],
    state: Path,
    approve: bool,
    host_tls: bool,
    behaviour: Behaviour,
) -> None:
    tls = server_context(site / "acquirer") if host_tls else None
    clerk = Clerk(AcquirerSite.load(site / "acquirer"), state, approve=approve, behaviour=behaviour)
    serve(clerk, host, desk, lambda one, other: click.echo(f"host {one}\ndesk {other}"), tls)
