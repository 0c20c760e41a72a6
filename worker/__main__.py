# SPDX-License-Identifier: Apache-2.0
"""``python -m worker --role control|transfer|steps``: one worker process of a site, or of a machine that runs steps.

Reads its settings once, waits for its servers, works until SIGTERM or SIGINT, then finishes what it has in hand.
``--check`` connects to everything the role needs, says so, and ends.
Exit codes: 0 ended as asked, 2 the settings are wrong, 3 something outside did not answer, 1 a mistake of our own.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from temporalio.client import Client
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.worker import Worker

from adapters import log, process_guard
from adapters.codec import make_converter, read_key_ring
from adapters.machine_api import MachineApi, read_machine_token
from adapters.node_host import Listener, NodeHost, NodeSettings
from adapters.ports import Composition, compose
from adapters.settings import MachineSettings, Settings, load_machine_settings, load_settings
from adapters.step_cache import StepCache
from adapters.temporal import TemporalSteps, connect, tls_config
from waybill.domain.steps import StepLine, StepOrder, StepOutcome
from waybill.errors import FormatError, UnavailableError, WaybillError
from worker.advertising import advertise_in_background
from worker.sweep import sweep_forever
from worker.wiring import control_worker, machine_worker, step_control_worker, transfer_worker

ROLES: Final = ("control", "transfer", "steps")
_CHECK_SECONDS: Final = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code, after the worker has ended."""
    given = _parse(arguments)
    try:
        Runtime.set_default(
            Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=TelemetryFilter(core_level="ERROR", other_level="ERROR"))))
        )
        if given.role == "steps":
            machine = load_machine_settings(given.settings)
            log.configure(role=given.role, site=machine.name, level=machine.log_level)
            asyncio.run(_run_machine(machine, is_check=given.check))
        else:
            site = load_settings(given.settings)
            log.configure(role=given.role, site=site.name, level=site.log_level)
            asyncio.run(_run_site(site, given.role, is_check=given.check))
    except FormatError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except UnavailableError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    except WaybillError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    named = os.environ.get("WAYBILL_SETTINGS")
    parser.add_argument("--role", choices=ROLES, required=True, help="what this process does")
    parser.add_argument(
        "--settings",
        type=Path,
        default=None if named is None else Path(named),
        required=named is None,
        help="the TOML file of the settings (or WAYBILL_SETTINGS)",
    )
    parser.add_argument("--check", action="store_true", help="connect to everything this role needs, then end")
    return parser.parse_args(arguments)


async def _run_site(settings: Settings, role: str, *, is_check: bool) -> None:
    composition = compose(settings)
    try:
        client, steps_client = await _clients(settings, wait_seconds=_CHECK_SECONDS if is_check else None)
        if is_check:
            _check(composition)
            return
        ports = composition.ports
        if role == "transfer":
            advertise_in_background(ports)
            await _work([transfer_worker(client, ports)], role=role)
            return
        sweeping = asyncio.create_task(sweep_forever(ports))
        try:
            workers = [control_worker(client, ports, TemporalSteps(steps_client)), step_control_worker(steps_client, ports)]
            await _work(workers, role=role)
        finally:
            sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sweeping
    finally:
        composition.close()


async def _run_machine(settings: MachineSettings, *, is_check: bool) -> None:
    token, machine_id = read_machine_token(settings.token_file)
    converter = make_converter(read_key_ring(settings.codec_ring), namespace=settings.steps_namespace)
    client = await connect(
        settings.engine_address,
        namespace=settings.steps_namespace,
        converter=converter,
        tls=tls_config(settings.engine_tls),
        wait_seconds=_CHECK_SECONDS if is_check else None,
    )
    ca_pem = None if settings.api_ca_file is None else settings.api_ca_file.read_text(encoding="ascii")
    api = MachineApi(base_url=settings.api_url, token=token, ca_pem=ca_pem)
    try:
        process_guard.protect_this_process()
        node = _node(settings)
        await node.check()
        if not is_check:
            node.sweep()
            await _work([machine_worker(client, machine_id=machine_id, api=api, host=_Host(node))], role="steps")
    finally:
        await api.close()


class _Host:
    """The Node host in the form that the activity knows."""

    def __init__(self, node: NodeHost) -> None:
        self._node = node

    async def run(self, order: StepOrder, *, on_line: Callable[[StepLine], None], cancelled: asyncio.Event) -> StepOutcome:
        return await self._node.run(order, listener=Listener(on_line=on_line), cancelled=cancelled)


def _node(settings: MachineSettings) -> NodeHost:
    work = settings.work_directory
    found = NodeSettings(
        node=settings.node_path, bootstrapper=settings.bootstrap_path, work_directory=work / "runs", search_path=settings.search_path
    )
    return NodeHost(found, StepCache(work / "cache"))


async def _work(workers: Sequence[Worker], *, role: str) -> None:
    """Runs until a signal comes or a worker dies; then every worker finishes what it has in hand."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    running = [asyncio.create_task(worker.run()) for worker in workers]
    stopping = asyncio.create_task(stop.wait())
    log.get_logger("worker").info("worker.started", queues=[worker.task_queue for worker in workers])
    try:
        await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        await asyncio.gather(*(worker.shutdown() for worker in workers))
    await asyncio.gather(*running)
    log.get_logger("worker").info("worker.stopped", role=role)


async def _clients(settings: Settings, *, wait_seconds: float | None) -> tuple[Client, Client]:
    """Clients of the site's namespace and of its steps namespace, each with its own keys."""
    engine, clients = settings.engine, []
    for namespace, ring in ((engine.namespace, settings.keys.codec_ring), (engine.steps_namespace, settings.keys.steps_codec_ring)):
        converter = make_converter(read_key_ring(ring), namespace=namespace)
        clients.append(
            await connect(engine.address, namespace=namespace, converter=converter, tls=tls_config(engine.tls), wait_seconds=wait_seconds)
        )
    return clients[0], clients[1]


def _check(composition: Composition) -> None:
    """Everything answers. Raises UnavailableError, naming what does not."""
    composition.ports.ledger.check()
    composition.ports.objects.check()
    composition.ports.engine.check()


def _leave(code: int) -> None:
    """The process ends now: the engine's library may crash when an interpreter with it winds down."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main())
