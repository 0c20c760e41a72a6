# SPDX-License-Identifier: Apache-2.0
"""Two whole sites in one process: real use cases over memory ports, the real engine with two namespaces each, real workers.

The source is DevTest, the target Prod. Between them only the peer port: signed messages and granted URLs, as between real sites.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from temporalio.client import Client

from activities.machine import SiteApi
from adapters.codec import KeyRing, make_converter
from adapters.temporal import TemporalEngine, TemporalSteps, connect
from tests.servers import TemporalServer
from tests.simulators.deltas_memory import MemoryDeltas
from tests.simulators.objects_memory import MemoryObjects, SystemClock
from tests.simulators.peer_memory import MemoryPeer
from tests.simulators.site import Site, make_site
from tests.simulators.spaces import ACCEPT, SEND, Home, action, make_home
from waybill.app import admin, exchange, importing, preview, runs
from waybill.app.access import SYSTEM
from waybill.domain.bundles import InboxBundle
from waybill.domain.deployments import RunState
from waybill.domain.promotions import Promotion
from waybill.domain.spaces import Environment, Machine
from waybill.domain.steps import StepLine, StepOrder, StepOutcome
from waybill.domain.tasks import Task
from waybill.domain.trusts import Road, Trust
from waybill.ports import Ports
from worker.wiring import Load, control_worker, machine_worker, step_control_worker, transfer_worker

PATHS = {
    "exchange": exchange.answer_exchange,
    "downloads": exchange.grant_download,
    "uploads": exchange.grant_upload,
    "uploads/complete": exchange.complete_peer_upload,
}


class PortsApi:
    """The site's API as a machine sees it, without HTTP in between."""

    def __init__(self, ports: Ports, machine: Machine) -> None:
        self._ports, self._machine = ports, machine

    async def claim(self, run_id: str) -> StepOrder:
        """See ``activities.machine.SiteApi``."""
        return await asyncio.to_thread(runs.claim, self._ports, self._machine, run_id=run_id)

    async def append_log(self, run_id: str, lines: Sequence[StepLine]) -> None:
        """See ``activities.machine.SiteApi``."""
        await asyncio.to_thread(runs.append_log, self._ports, self._machine, run_id=run_id, lines=lines)

    async def post_outcome(self, run_id: str, outcome: StepOutcome) -> None:
        """See ``activities.machine.SiteApi``."""
        await asyncio.to_thread(runs.record_outcome, self._ports, self._machine, run_id=run_id, outcome=outcome)


@dataclass
class CountingHost:
    """A step host that says one line, counts what it ran, and ends at once."""

    ran: list[str] = field(default_factory=list)

    async def run(self, order: StepOrder, *, on_line: Callable[[StepLine], None], cancelled: asyncio.Event) -> StepOutcome:
        """See ``activities.machine.StepHost``."""
        self.ran.append(order.run_id)
        on_line(StepLine(level="info", message=f"running {order.package_id}", occurred_at=datetime.now(UTC)))
        return StepOutcome(state=RunState.SUCCEEDED)


@dataclass(kw_only=True)
class Place:
    """One of the two sites, with its Space and its engine."""

    home: Home
    engine: TemporalEngine
    trust: Trust

    @property
    def ports(self) -> Ports:
        """The site's ports, with the real engine."""
        return self.home.ports

    def promotion(self, promotion_id: str) -> Promotion:
        """The promotion as it stands."""
        with self.ports.ledger.read(self.home.space_id) as work:
            return work.of(Promotion).get(promotion_id)

    def task(self, task_id: str) -> Task:
        """The task as it stands."""
        with self.ports.ledger.read(self.home.space_id) as work:
            return work.of(Task).get(task_id)

    def inbox(self) -> Sequence[InboxBundle]:
        """Everything that was received."""
        with self.ports.ledger.read(self.home.space_id) as work:
            return work.of(InboxBundle).where()

    def approve(self, bundle: InboxBundle, *, lifecycle: str) -> InboxBundle:
        """A person approves what the preview shows."""
        shown = preview.preview(self.ports, SYSTEM, space_id=self.home.space_id, inbox=bundle.id)
        return importing.decide(
            self.ports,
            SYSTEM,
            space_id=self.home.space_id,
            inbox=bundle.id,
            verdict="approve",
            bundle_sha256=bundle.bundle_sha256,
            preview_sha256=shown.sha256,
            lifecycle=lifecycle,
        )


@dataclass(kw_only=True)
class TwoSites:
    """Both sites. ``peer`` is the network between them; ``machine`` runs Prod's steps on ``host``."""

    source: Place
    target: Place
    peer: MemoryPeer
    machine: Machine
    environment: Environment
    lifecycle: str
    host: CountingHost


@contextlib.asynccontextmanager
async def raised_sites(
    server: TemporalServer, *, source_road: Road, target_road: Road, load: Load | None = None, host: CountingHost | None = None
) -> AsyncIterator[TwoSites]:
    """Both sites with their workers running. The server needs the namespaces ``site-a``, ``site-a-steps``, ``site-b``, ``site-b-steps``."""
    peer = MemoryPeer()
    one, engine_one = _make_place("devtest", "site-a", server, peer)
    other, engine_other = _make_place("prod", "site-b", server, peer)
    devtest, prod = make_home("DevTest", site=one), make_home("Prod", site=other)
    environment = admin.create_environment(prod.ports, SYSTEM, space_id=prod.space_id, name="Production")
    machine, _token = admin.register_machine(
        prod.ports, SYSTEM, space_id=prod.space_id, name="web01", roles=["web"], environments=[environment.id]
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(engine_one.close)
        stack.callback(engine_other.close)
        for ports, namespace in ((devtest.ports, "site-a"), (prod.ports, "site-b")):
            client, steps = await _client(server, namespace), await _client(server, f"{namespace}-steps")
            size = load or Load(threads=8)
            await stack.enter_async_context(control_worker(client, ports, TemporalSteps(steps), load=size))
            await stack.enter_async_context(transfer_worker(client, ports, load=size))
            await stack.enter_async_context(step_control_worker(steps, ports, load=size))
            if ports is prod.ports:
                chosen = host or CountingHost()
                api: SiteApi = PortsApi(ports, machine)
                await stack.enter_async_context(machine_worker(steps, machine_id=machine.id, api=api, host=chosen, load=size))
        sending = await asyncio.to_thread(devtest.trust, prod, grants=SEND, road=source_road)
        accepting = await asyncio.to_thread(prod.trust, devtest, grants=ACCEPT, road=target_road)
        lifecycle = prod.lifecycle("Standard", (environment.id,))
        try:
            yield TwoSites(
                source=Place(home=devtest, engine=engine_one, trust=sending),
                target=Place(home=prod, engine=engine_other, trust=accepting),
                peer=peer,
                machine=machine,
                environment=environment,
                lifecycle=lifecycle,
                host=chosen,
            )
        finally:
            engine_one.cancel(f"courier:{sending.id}")
            engine_other.cancel(f"courier:{accepting.id}")


def _make_place(name: str, namespace: str, server: TemporalServer, peer: MemoryPeer) -> tuple[Site, TemporalEngine]:
    """A site in memory whose engine is the real one and whose peers are reached through ``peer``."""
    site = make_site(name)
    engine = TemporalEngine(address=server.address, namespace=namespace, converter=make_converter(ring_of(namespace), namespace=namespace))
    objects = MemoryObjects(name=name)
    facts = replace(site.ports.site, ca_pem="-", objects_url=f"https://{name}.memory", courier_poll_seconds=0.2)
    ports = replace(
        site.ports, engine=engine, objects=objects, deltas=MemoryDeltas(objects=objects), peer=peer, clock=SystemClock(), site=facts
    )
    peer.stores[name] = objects

    def answer(path: str, body: bytes) -> bytes:
        _, _, _, space_id, verb = path.split("/", 4)
        return PATHS[verb](ports, space_id=space_id, body=body)

    assert facts.api_url is not None
    peer.handlers[facts.api_url] = answer
    return replace(site, ports=ports, objects=objects), engine


def ring_of(namespace: str) -> KeyRing:
    """The fixed keys of a namespace."""
    return KeyRing({"test": namespace.encode().ljust(32, b".")[:32]}, "test")


async def _client(server: TemporalServer, namespace: str) -> Client:
    converter = make_converter(ring_of(namespace), namespace=namespace)
    return await connect(server.address, namespace=namespace, converter=converter, wait_seconds=30)


def make_release(sites: TwoSites, *, packages: int = 2, version: str = "1.0.0") -> str:
    """A release at the source with that many small packages, one action each; returns its row id."""
    home = sites.source.home
    if version == "1.0.0":
        home.install()
    for number in range(packages):
        home.push(f"app{number}", version, f"package {number} of {version}".encode() * 100)
    lifecycle = home.lifecycle(f"To Prod {version}", (sites.source.trust.id,))
    actions = tuple(action(f"Deploy {number}", package_id=f"app{number}") for number in range(packages))
    project = home.project(f"Storefront {version}", actions=actions, lifecycle=lifecycle)
    return home.release(project, version).id
