# SPDX-License-Identifier: Apache-2.0
"""``python -m bench.orchestration``: what orchestrating a promotion costs, against bare Temporal in the same run.

Two whole sites in this one process, over memory ports and one real Temporal dev server, so that the engine and our stories are measured,
not disks. A promotion counts from the button until its source knows by a signed receipt that the target is ready to import:
sealed, delivered, verified, one small package sent, hashed and recorded, receipts signed, returned and verified.
The yardstick runs as many no-op activities one after the other, as one workflow, with the same server, process, threads, sandbox and codec:
those by way of the server as such, those in the workflow's own worker (local) as such. It is also printed without the local ones.
Printed: rates and their ratio, latency of single promotions, and where the time of an activity goes.
"""

import argparse
import asyncio
import logging
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.worker import Worker

from adapters.codec import make_converter
from adapters.temporal import connect
from bench.bare import Bare, do_nothing
from tests.servers import TemporalServer, run_temporal
from tests.simulators.spaces import action
from tests.workflows.stage import until
from tests.workflows.two_sites import TwoSites, raised_sites, ring_of
from waybill.app import promote
from waybill.app.access import SYSTEM
from waybill.domain.promotions import Promotion, PromotionState
from waybill.domain.trusts import Road
from worker.runner import make_runner
from worker.wiring import Load

KNOWN_READY = frozenset({PromotionState.READY, PromotionState.IMPORTED, PromotionState.DEPLOYED, PromotionState.COMPLETED})
_NOT_OURS = frozenset({"Bare", "VerifyUpload"})
"""The yardstick, and what pushing the packages before the measurement took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the engine did per promotion, local activities apart, and the milliseconds that an activity waited and ran."""

    activities: float
    local: float
    workflows: Counter[str]
    waited_ms: dict[str, list[float]]
    ran_ms: dict[str, list[float]]


def say(text: str) -> None:
    """A line of the report."""
    sys.stdout.write(text + "\n")


def make_releases(sites: TwoSites, count: int) -> list[str]:
    """Releases of one project at the source, each with one small package of its own; returns their row ids."""
    home = sites.source.home
    home.install()
    home.push("app", "0.0.0", b"first")
    lifecycle = home.lifecycle("To Prod", (sites.source.trust.id,))
    project = home.project("Storefront", actions=(action("Deploy", package_id="app"),), lifecycle=lifecycle)
    made = []
    for number in range(1, count + 1):
        home.push("app", f"1.0.{number}", f"package {number} ".encode() * 500)
        made.append(home.release(project, f"1.0.{number}").id)
    return made


async def start_one(sites: TwoSites, release: str) -> str:
    """The button; returns the promotion's id."""
    home = sites.source.home
    promotion, _task = await asyncio.to_thread(
        promote.start_promotion, home.ports, SYSTEM, space_id=home.space_id, release=release, trust=sites.source.trust.id
    )
    return promotion.id


async def promote_one(sites: TwoSites, release: str) -> float:
    """Seconds from the button until the source knows that the target is ready."""
    started = time.perf_counter()
    promotion = await start_one(sites, release)
    await until(lambda: sites.source.promotion(promotion).state in KNOWN_READY, seconds=300)
    return time.perf_counter() - started


async def promotion_rate(sites: TwoSites, releases: Sequence[str]) -> float:
    """Promotions a second, all started at once, until the source knows that the target is ready for the last."""

    def ready() -> int:
        with sites.source.ports.ledger.read(sites.source.home.space_id) as work:
            return sum(work.of(Promotion).count(state=state) for state in KNOWN_READY)

    wanted = ready() + len(releases)
    started = time.perf_counter()
    await asyncio.gather(*(start_one(sites, release) for release in releases))
    await until(lambda: ready() >= wanted, seconds=300, every_seconds=0.25)
    return len(releases) / (time.perf_counter() - started)


async def rate_of(count: int, one: Callable[[int], Awaitable[object]]) -> float:
    """How many a second, all started at once."""
    started = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(count)))
    return count / (time.perf_counter() - started)


async def cost_of(server: TemporalServer, promotions: int) -> Cost:
    """Read from the histories of both sites; couriers count, since they carry the messages."""
    activities, local, workflows = 0, 0, Counter[str]()
    waited: dict[str, list[float]] = defaultdict(list)
    ran: dict[str, list[float]] = defaultdict(list)
    for namespace in ("site-a", "site-b"):
        client = await client_of(server, namespace)
        async for found in client.list_workflows():
            if found.workflow_type in _NOT_OURS:
                continue
            workflows[found.workflow_type] += 1
            handle = client.get_workflow_handle(found.id, run_id=found.run_id)
            events = (await handle.fetch_history()).events
            local += sum(event.marker_recorded_event_attributes.marker_name == "core_local_activity" for event in events)
            for name, wait_ms, run_ms in _activities(events):
                activities += 1
                waited[name].append(wait_ms)
                ran[name].append(run_ms)
    return Cost(activities=activities / promotions, local=local / promotions, workflows=workflows, waited_ms=waited, ran_ms=ran)


def _activities(events: Sequence[HistoryEvent]) -> list[tuple[str, float, float]]:
    """Name, milliseconds from scheduled to started, milliseconds from started to completed, of each activity that completed."""
    scheduled: dict[int, HistoryEvent] = {}
    started: dict[int, HistoryEvent] = {}
    found = []
    for event in events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            scheduled[event.event_id] = event
        elif event.HasField("activity_task_started_event_attributes"):
            started[event.activity_task_started_event_attributes.scheduled_event_id] = event
        elif event.HasField("activity_task_completed_event_attributes"):
            key = event.activity_task_completed_event_attributes.scheduled_event_id
            name = scheduled[key].activity_task_scheduled_event_attributes.activity_type.name
            found.append((name, _between(scheduled[key], started[key]), _between(started[key], event)))
    return found


def _between(first: HistoryEvent, then: HistoryEvent) -> float:
    return float(then.event_time.ToNanoseconds() - first.event_time.ToNanoseconds()) / 1e6


async def client_of(server: TemporalServer, namespace: str) -> Client:
    """A client of a site's namespace."""
    converter = make_converter(ring_of(namespace), namespace=namespace)
    return await connect(server.address, namespace=namespace, converter=converter, wait_seconds=30)


async def bare_rate(server: TemporalServer, *, name: str, count: int, activities: int, local: int) -> float:
    """Bare workflows a second, each of that many no-op activities, by way of the server and local."""
    client = await client_of(server, "site-a")
    worker = Worker(
        client,
        task_queue="bare",
        workflows=[Bare],
        activities=[do_nothing],
        activity_executor=ThreadPoolExecutor(max_workers=32),
        max_concurrent_activities=32,
        workflow_runner=make_runner("bench"),
        graceful_shutdown_timeout=timedelta(seconds=1),
    )
    async with worker:

        async def one(number: int) -> None:
            await client.execute_workflow(Bare.run, args=[activities, local], id=f"{name}-{number}", task_queue="bare")

        await one(-1)
        return await rate_of(count, one)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Rates per second of one round: our promotions, the yardstick with the local activities, and without."""

    ours: float
    bare: float
    remote_only: float


async def main(count: int, singles: int, rounds: int) -> None:
    """The whole run and its report. Each round has sites of its own, closed before its yardstick runs."""
    measured: list[Round] = []
    with run_temporal(namespace="site-a", extra=["--namespace", "site-b", "--namespace", "site-b-steps"]) as server:
        for number in range(rounds):
            async with raised_sites(server, source_road=Road.CALL, target_road=Road.ANSWER, load=Load(threads=32)) as sites:
                alone_here = singles if number == 0 else 0
                releases = await asyncio.to_thread(make_releases, sites, count + alone_here + 1)
                await promote_one(sites, releases.pop())
                if number == 0:
                    alone = sorted([await promote_one(sites, releases.pop()) for _ in range(singles)])
                ours = await promotion_rate(sites, releases)
                await asyncio.sleep(1.0)
            if number == 0:
                cost = await cost_of(server, count + singles + 1)
            activities, local = round(cost.activities), round(cost.local)
            bare = await bare_rate(server, name=f"bare-{number}", count=count, activities=activities, local=local)
            remote_only = await bare_rate(server, name=f"remote-{number}", count=count, activities=activities, local=0)
            measured.append(Round(ours=ours, bare=bare, remote_only=remote_only))
    report(count, alone, measured, cost)


def report(count: int, alone: Sequence[float], rounds: Sequence[Round], cost: Cost) -> None:
    """What was measured; rates are means over the rounds."""
    ours, bare = statistics.mean(one.ours for one in rounds), statistics.mean(one.bare for one in rounds)
    remote_only = statistics.mean(one.remote_only for one in rounds)
    say(f"one promotion alone, button to ready known at the source ({len(alone)} runs):")
    say(f"  median {statistics.median(alone) * 1000:.0f} ms, p95 {alone[min(len(alone) - 1, int(len(alone) * 0.95))] * 1000:.0f} ms")
    say(f"{count} promotions at once, both sites, engine and workers on this machine, {len(rounds)} rounds in turns with the yardstick:")
    say(f"  Waybill        {ours:6.2f} promotions/s, each {cost.activities:.1f} activities and {cost.local:.1f} local ones")
    say(f"  bare Temporal  {bare:6.2f} workflows/s, each {round(cost.activities)} no-op activities and {round(cost.local)} local ones")
    say(f"  ratio          {ours / bare:6.2f}   rounds: {' '.join(f'{one.ours / one.bare:.2f}' for one in rounds)}")
    say(f"  without the local ones: {remote_only:.2f} workflows/s, ratio {ours / remote_only:.2f}")
    say("  workflows of the first round: " + ", ".join(f"{number} {name}" for name, number in cost.workflows.most_common()))
    say("where the time of activities goes (ms per promotion; waited = scheduled to started, ran = started to completed):")
    promotions = max(1, len(cost.ran_ms.get("promotions.seal", [1])))
    totals = Counter({name: sum(cost.ran_ms[name]) + sum(cost.waited_ms[name]) for name in cost.ran_ms})
    for name, total in totals.most_common(10):
        waits, runs = sum(cost.waited_ms[name]), sum(cost.ran_ms[name])
        say(
            f"  {name:24s} {len(cost.ran_ms[name]) / promotions:5.1f} x  waited {waits / promotions:7.1f}"
            f"  ran {runs / promotions:7.1f}  total {total / promotions:7.1f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.orchestration", description=__doc__)
    parser.add_argument("--count", type=int, default=40, help="promotions at once")
    parser.add_argument("--singles", type=int, default=20, help="promotions one after the other")
    parser.add_argument("--rounds", type=int, default=4, help="how often promotions and yardstick take turns")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    asyncio.run(main(given.count, given.singles, given.rounds))
