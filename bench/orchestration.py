# SPDX-License-Identifier: Apache-2.0
"""``python -m bench.orchestration``: what orchestrating a promotion costs, against bare Temporal in the same run.

Two whole sites in this one process, over memory ports and one real Temporal dev server, so that the engine and our stories are measured,
not disks. A promotion counts from the button until its source knows by a signed receipt that the target is ready to import:
sealed, delivered, verified, one small package sent, hashed and recorded, receipts signed, returned and verified.
The yardstick runs as many no-op activities one after the other, as one workflow, with the same server, process, threads, sandbox and codec.
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
from waybill.domain.promotions import PromotionState
from waybill.domain.trusts import Road
from worker.runner import make_runner
from worker.wiring import Load

KNOWN_READY = frozenset({PromotionState.READY, PromotionState.IMPORTED, PromotionState.DEPLOYED, PromotionState.COMPLETED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the engine did per promotion, and the milliseconds that an activity waited and ran."""

    activities: float
    workflows: float
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


async def promote_one(sites: TwoSites, release: str, *, every_seconds: float = 0.02) -> float:
    """Seconds from the button until the source knows that the target is ready; ``every_seconds`` it is looked whether that is so."""
    home = sites.source.home
    started = time.perf_counter()
    promotion, _task = await asyncio.to_thread(
        promote.start_promotion, home.ports, SYSTEM, space_id=home.space_id, release=release, trust=sites.source.trust.id
    )
    await until(lambda: sites.source.promotion(promotion.id).state in KNOWN_READY, seconds=300, every_seconds=every_seconds)
    return time.perf_counter() - started


async def rate_of(count: int, one: Callable[[int], Awaitable[object]]) -> float:
    """How many a second, all started at once."""
    started = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(count)))
    return count / (time.perf_counter() - started)


async def cost_of(server: TemporalServer, promotions: int) -> Cost:
    """Read from the histories of both sites; couriers count, since they carry the messages."""
    activities, workflows = 0, 0
    waited: dict[str, list[float]] = defaultdict(list)
    ran: dict[str, list[float]] = defaultdict(list)
    for namespace in ("site-a", "site-b"):
        client = await client_of(server, namespace)
        async for found in client.list_workflows():
            if found.workflow_type == "Bare":
                continue
            workflows += 1
            handle = client.get_workflow_handle(found.id, run_id=found.run_id)
            for name, wait_ms, run_ms in _activities((await handle.fetch_history()).events):
                activities += 1
                waited[name].append(wait_ms)
                ran[name].append(run_ms)
    return Cost(activities=activities / promotions, workflows=workflows / promotions, waited_ms=waited, ran_ms=ran)


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


async def bare_rate(server: TemporalServer, *, count: int, activities: int) -> float:
    """Bare workflows a second, each of that many no-op activities."""
    client = await client_of(server, "site-a")
    worker = Worker(
        client,
        task_queue="bare",
        workflows=[Bare],
        activities=[do_nothing],
        activity_executor=ThreadPoolExecutor(max_workers=32),
        max_concurrent_activities=32,
        workflow_runner=make_runner(),
        graceful_shutdown_timeout=timedelta(seconds=1),
    )
    async with worker:
        await client.execute_workflow(Bare.run, activities, id="bare-warm", task_queue="bare")
        return await rate_of(count, lambda number: client.execute_workflow(Bare.run, activities, id=f"bare-{number}", task_queue="bare"))


async def main(count: int, singles: int) -> None:
    """The whole run and its report."""
    with run_temporal(namespace="site-a", extra=["--namespace", "site-b", "--namespace", "site-b-steps"]) as server:
        async with raised_sites(server, source_road=Road.CALL, target_road=Road.ANSWER, load=Load(threads=32)) as sites:
            releases = await asyncio.to_thread(make_releases, sites, count + singles + 1)
            await promote_one(sites, releases[-1])
            alone = sorted([await promote_one(sites, releases[number]) for number in range(singles)])
            rate = await rate_of(count, lambda number: promote_one(sites, releases[singles + number], every_seconds=0.5))
            await asyncio.sleep(1.0)
        cost = await cost_of(server, count + singles + 1)
        bare = await bare_rate(server, count=count, activities=round(cost.activities))
        report(count, alone, rate, bare, cost)


def report(count: int, alone: Sequence[float], rate: float, bare: float, cost: Cost) -> None:
    """What was measured."""
    say(f"one promotion alone, button to ready known at the source ({len(alone)} runs):")
    say(f"  median {statistics.median(alone) * 1000:.0f} ms, p95 {alone[min(len(alone) - 1, int(len(alone) * 0.95))] * 1000:.0f} ms")
    say(f"{count} promotions at once, both sites, engine and workers on this machine:")
    say(f"  Waybill        {rate:6.2f} promotions/s, each {cost.activities:.1f} activities in {cost.workflows:.1f} workflows")
    say(f"  bare Temporal  {bare:6.2f} workflows/s, each {round(cost.activities)} no-op activities")
    say(f"  ratio          {rate / bare:6.2f}")
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
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    asyncio.run(main(given.count, given.singles))
