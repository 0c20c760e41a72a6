# SPDX-License-Identifier: Apache-2.0
"""``waybill-site``: the operator's command on the machine of a site. It makes, migrates and runs a site; everything else is ``waybill``."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from sites.create import SitePlan, choose_ports, create_site, create_spaces, first_administrator, prepare
from sites.layout import EmbeddedPorts, SiteLayout
from sites.machines import STEPS, add_machine
from sites.run import RunningSite, run_until_stopped
from waybill.errors import WaybillError

app = App(name="waybill-site", help="Make, migrate and run one Waybill site. Everything else is done with `waybill`, over HTTP.")
machine_app = App(name="machine", help="The machines whose steps workers this site runs itself.")
app.command(machine_app)


@app.command
def create(
    directory: Path,
    /,
    *,
    name: str,
    space: Annotated[list[str], Parameter(help="Name of a Space to make; may be given several times.", negative="")],
    outbound: Literal["any", "none"] = "any",
    peer_endpoint: bool = True,
    poll_seconds: float = 15.0,
    database_url: str | None = None,
    database_password_file: Path | None = None,
    api_port: int | None = None,
    objects_port: int | None = None,
    engine_port: int | None = None,
    engine_http_port: int | None = None,
    engine_ui_port: int | None = None,
    engine_metrics_port: int | None = None,
    public_api_port: int | None = None,
    public_objects_port: int | None = None,
) -> None:
    """Make a site in DIRECTORY: keys, certificates, settings, database, the first administrator, the Spaces.

    Example: waybill-site create ./frankfurt --name Frankfurt --space Prod

    Parameters
    ----------
    name: the site's name, for people.
    outbound: `none`: this site opens no connection to any peer.
    peer_endpoint: with --no-peer-endpoint no peer may call this site either (air gap).
    poll_seconds: between two rounds of a courier.
    database_url: an empty PostgreSQL database, as `postgresql+psycopg://user@host/name`, its password in database_password_file; SQLite without it.
    api_port: the loopback port of the API and the pages; each port that is not given is a free one.
    public_api_port: the port that peers are told, when a proxy stands before the API; likewise public_objects_port.
    """
    layout = SiteLayout(directory.resolve())
    given = {
        "api": api_port, "objects": objects_port, "engine": engine_port, "engine_http": engine_http_port, "engine_ui": engine_ui_port,
        "engine_metrics": engine_metrics_port, "public_api": public_api_port, "public_objects": public_objects_port,
    }  # fmt: skip
    plan = SitePlan(
        name=name, outbound=outbound, peer_endpoint=peer_endpoint, courier_poll_seconds=poll_seconds, database_url=database_url,
        database_password_file=database_password_file, ports=choose_ports(given),
    )  # fmt: skip
    ports = create_site(layout, plan)
    password = first_administrator(layout)
    create_spaces(layout, space)
    print(f"site {name} in {layout.directory}")
    print(f"  API and pages   https://127.0.0.1:{ports.api}   (authority: {layout.authority})")
    print(f"  administrator   admin, password {password}   (also in {layout.first_password}; change it, then delete the file)")
    print(f"  run it          waybill-site run {directory}")


@app.command
def run(directory: Path, /, *, tools: Path | None = None) -> None:
    """Run the site in DIRECTORY until Ctrl-C: its servers, API, workers and machines; what dies is started again.

    Parameters
    ----------
    tools: where `temporal` and `versitygw` lie, when they are not on PATH.
    """
    site = RunningSite(SiteLayout(directory.resolve()), tools=tools, say=_say)
    site.start()
    _say(f"ready: https://127.0.0.1:{site.ports.api}   Temporal UI: http://127.0.0.1:{site.ports.engine_ui}   Ctrl-C stops everything")
    run_until_stopped([site])


@app.command
def migrate(settings: Path, /) -> None:
    """Bring the database that SETTINGS names to this program's revision, and make the bucket. Safe to repeat; take a backup first."""
    print(f"the database is at revision {prepare(settings)}")


@app.command
def ports(directory: Path, /) -> None:
    """Show the loopback ports of the site in DIRECTORY."""
    known = EmbeddedPorts.load(SiteLayout(directory.resolve()))
    print(f"api {known.api}\nobjects {known.objects}\ntemporal {known.engine}\ntemporal-ui {known.engine_ui}")


@app.command
def steps() -> None:
    """List the archives of the first-party step packages that came with this program.

    Example: waybill-site steps | while read -r archive; do waybill step install "$archive"; done
    """
    for archive in sorted((STEPS / "packages").glob("*.zip")):
        print(archive)


@machine_app.command
def add(directory: Path, name: str, /) -> None:
    """Let the site in DIRECTORY run the machine NAME; its token is read from standard input.

    Example: waybill machine register web1 --role web --environment Production -o json | jq -r .token | waybill-site machine add ./frankfurt web1
    """
    token = sys.stdin.readline().strip()
    home = add_machine(SiteLayout(directory.resolve()), name=name, token=token)
    print(f"machine {name} in {home}; a running site starts it within a second")


@app.command
def demo(*, directory: Path, keep: bool = True, tools: Path | None = None, first_port: int | None = None) -> None:
    """Run the main job on three complete sites under DIRECTORY, then leave them running.

    Parameters
    ----------
    keep: with --no-keep, or --keep 0: stop at the end, and exit 0 only when every claim was confirmed twice.
    tools: where `temporal` and `versitygw` lie, when they are not on PATH.
    first_port: use the ports from here on instead of free ones.
    """
    from sites.demo.run import run_demo

    sys.exit(run_demo(directory.resolve(), keep=keep, tools=tools, first_port=first_port, say=_say))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """The process's entry: 0, or 1 with one sentence on standard error."""
    try:
        app()
    except WaybillError as error:
        _say(f"error: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
