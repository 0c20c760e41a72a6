# SPDX-License-Identifier: Apache-2.0
"""``waybill-site demo``: makes or finds the three sites, runs the main job, and keeps them running or stops with a verdict."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sites.create import ADMINISTRATOR
from sites.demo import evidence
from sites.demo.claims import Claims
from sites.demo.scenario import Scenario
from sites.demo.world import World
from sites.run import WATCH_SECONDS, stop_event
from waybill.errors import WaybillError

SCENARIO_GOAL_SECONDS = 120


def run_demo(directory: Path, *, keep: bool, tools: Path | None, first_port: int | None, say: Callable[[str], None]) -> int:
    """The main job has run on three sites; 0, or 1 when a claim was not confirmed twice.

    Args:
        keep: leave the sites running until Ctrl-C; a later run then starts them from what is there and does not repeat the job.
            Without it everything is made anew, and stopped at the end.
        first_port: ports from here on; free ones by default.
    """
    done = directory / "summary.json"
    fresh = not keep or not done.exists()
    if fresh:
        _clear(directory)
    began = time.monotonic()
    world = World(directory, tools=tools, first_port=first_port, say=say)
    try:
        world.make()
        world.start()
        say(f"three sites run after {time.monotonic() - began:.1f} s")
        verdict = _job(world, done, say) if fresh else 0
        if keep:
            _leave_running(world, say)
        return verdict
    except WaybillError as error:
        say(f"the demo stopped: {error}; logs are in {directory / 'sites'}/*/logs")
        return 1
    finally:
        world.stop()


def _job(world: World, done: Path, say: Callable[[str], None]) -> int:
    claims = Claims(say)
    scenario = Scenario(world, claims)
    began = time.monotonic()
    scenario.run()
    seconds = time.monotonic() - began
    memory = {site.spec.name: evidence.memory_of([world.supervisor.processes[site.spec.key].pid]) for site in world.sites.values()}
    summary: dict[str, Any] = {
        "ok": claims.all_hold,
        "scenario_seconds": round(seconds, 1),
        "memory_bytes": memory,
        "memory_bytes_together": sum(memory.values()),
        "bytes_of_packages": sum(crossing.package_bytes for crossing in scenario.crossings),
        "bytes_sent": sum(crossing.sent_bytes for crossing in scenario.crossings),
        "bytes_saved": sum(crossing.saved_bytes for crossing in scenario.crossings),
        "promotions": [asdict(crossing) for crossing in scenario.crossings],
        "claims": claims.as_json(),
        "commands": world.commands,
    }
    done.write_text(json.dumps(summary, indent=2) + "\n")
    held = sum(claim.holds for claim in claims.made)
    say(f"\npackages: {summary['bytes_sent']} bytes sent, {summary['bytes_saved']} saved, of {summary['bytes_of_packages']}")
    say(
        f"{held} of {len(claims.made)} claims confirmed twice; the job took {seconds:.1f} s; {sum(memory.values()) // 2**20} MiB in all; {done}"
    )
    return 0 if claims.all_hold else 1


def _leave_running(world: World, say: Callable[[str], None]) -> None:
    stopping = stop_event()
    say("\nThe sites go on running. Sign in as:")
    for site in world.sites.values():
        password = site.layout.first_password.read_text().strip()
        say(f"  {site.spec.name:<10} {site.url}/spaces/{site.spec.slug}   {ADMINISTRATOR}   {password}")
        say(f"  {'':<10} Temporal UI http://127.0.0.1:{site.ports.engine_ui}   authority for your browser: {site.layout.authority}")
    example = world.brisbane
    say("Next, in another terminal:")
    say(f"  export WAYBILL_CONFIG={world.directory / 'cli' / 'config.toml'} WAYBILL_CA={example.layout.authority}")
    say(f"  {world.directory / 'environment' / 'bin' / 'waybill'} --profile brisbane --space {example.spec.slug} dashboard")
    say("Ctrl-C stops everything.")
    while not stopping.wait(WATCH_SECONDS):
        world.supervisor.watch()
    say("stopping ...")


def _clear(directory: Path) -> None:
    """What an earlier run left is gone; the installed environment stays."""
    for name in ("sites", "targets", "files", "cli"):
        shutil.rmtree(directory / name, ignore_errors=True)
    for name in ("world.json", "summary.json"):
        (directory / name).unlink(missing_ok=True)
