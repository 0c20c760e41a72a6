# SPDX-License-Identifier: Apache-2.0
"""Rows that other Spaces and long work would make, put straight into the ledger: what the API shows of them is tested here."""

from dataclasses import replace
from typing import Any, TypeVar

from tests.api.world import World
from waybill.app import ids
from waybill.domain.bundles import InboxBundle, InboxState
from waybill.domain.deployments import Deployment, DeploymentState, RunState, StepRun
from waybill.domain.packages import Package
from waybill.domain.projects import Project
from waybill.domain.promotions import Promotion, PromotionState
from waybill.domain.receipts import ReceiptRow
from waybill.domain.releases import Document, Release
from waybill.domain.spaces import Environment
from waybill.domain.tasks import Carrier, LogLine, Task, TaskState
from waybill.domain.trusts import Grants, Road, Trust, TrustState
from waybill.ports import Row

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


R = TypeVar("R", bound=Row)


def add(world: World, row: R) -> R:
    """The row as the ledger has it."""
    with world.site.ledger.write(world.space.id) as work:
        return work.of(type(row)).add(row)


def fresh(world: World, prefix: str) -> str:
    """A new id."""
    return ids.fresh(world.site.ports, prefix)


def make_task(world: World, *, state: TaskState = TaskState.RUNNING, kind: str = "deployment", subject_id: str = "dep_x") -> Task:
    """A task."""
    task_id = fresh(world, "tsk")
    task = Task(
        id=task_id,
        space_id=world.space.id,
        kind=kind,
        title="Deploy 1.0.0 to Test",
        state=state,
        details="Waiting for a machine",
        workflow_id=f"deploy:{task_id}",
        story="DeployRelease",
        story_input={},
        subject_id=subject_id,
        created_at=world.site.clock.now(),
        created_by="ada",
    )
    return add(world, task)


def change_task(world: World, task: Task, **changes: Any) -> Task:
    """The task with some fields changed."""
    with world.site.ledger.write(world.space.id) as work:
        return work.of(Task).replace(replace(work.of(Task).get(task.id), **changes))


def write_log(world: World, task: Task, count: int, *, message: str = "line {number}") -> None:
    """Lines on the log of a task."""
    now = world.site.clock.now()
    with world.site.ledger.write(world.space.id) as work:
        lines = [
            LogLine(task_id=task.id, seq=0, level="info", message=message.format(number=number), occurred_at=now, observed_at=now)
            for number in range(1, count + 1)
        ]
        work.append_log(task.id, lines)


def make_project(world: World, name: str = "Storefront") -> Project:
    """A project of this Space."""
    row = Project(id=fresh(world, "prj"), space_id=world.space.id, slug=name.casefold(), name=name, created_at=world.site.clock.now())
    return add(world, row)


def make_environment(world: World, name: str = "Test") -> Environment:
    """An environment of this Space."""
    return add(world, Environment(id=fresh(world, "env"), space_id=world.space.id, slug=name.casefold(), name=name))


def make_trust(world: World, name: str = "Prod") -> Trust:
    """An active trust."""
    row = Trust(
        id=fresh(world, "trs"),
        space_id=world.space.id,
        slug=name.casefold(),
        name=name,
        peer_space_id=fresh(world, "spc"),
        peer_name=name,
        fingerprint=DIGEST,
        identity_version=1,
        identity_envelope=b"{}",
        state=TrustState.ACTIVE,
        road=Road.CARRIER,
        grants=Grants(send_releases=True, accept_receipts=True),
        created_at=world.site.clock.now(),
        created_by="ada",
    )
    return add(world, row)


def make_release(world: World, project: Project, version: str = "1.0.0") -> Release:
    """A release row without its document."""
    row = Release(
        id=fresh(world, "rel"),
        space_id=world.space.id,
        project_id=project.id,
        release_id=fresh(world, "rel"),
        release_version=version,
        channel="Default",
        notes="",
        frozen_at=world.site.clock.now(),
        release_sha256=DIGEST,
        document_sha256=DIGEST,
        created_by="ada",
    )
    return add(world, row)


def make_promotion(world: World, release: Release, trust: Trust) -> Promotion:
    """A promotion in transit."""
    now = world.site.clock.now()
    row = Promotion(
        id=fresh(world, "prm"),
        space_id=world.space.id,
        release_row_id=release.id,
        project_id=release.project_id,
        trust_id=trust.id,
        state=PromotionState.IN_TRANSIT,
        task_id=make_task(world, kind="promotion").id,
        created_at=now,
        created_by="ada",
        follow_until=now,
        bytes_packages=100,
        bytes_sent=60,
        bytes_saved=40,
    )
    return add(world, row)


def make_deployment(
    world: World, release: Release, environment: Environment, state: DeploymentState = DeploymentState.RUNNING, message: str | None = None
) -> Deployment:
    """A deployment with one run of a step."""
    row = Deployment(
        id=fresh(world, "dep"),
        space_id=world.space.id,
        project_id=release.project_id,
        release_row_id=release.id,
        environment_id=environment.id,
        tenant_id=None,
        state=state,
        message=message,
        task_id=make_task(world).id,
        created_at=world.site.clock.now(),
        created_by="ada",
    )
    add(world, row)
    add(
        world,
        StepRun(
            id=fresh(world, "run"),
            space_id=world.space.id,
            deployment_id=row.id,
            action_id=fresh(world, "act"),
            action_name="Deploy files",
            position=1,
            machine_id=None,
            attempt=1,
            state=RunState.RUNNING,
            created_at=world.site.clock.now(),
        ),
    )
    return row


def make_inbox(world: World, trust: Trust) -> InboxBundle:
    """A bundle that is ready to be decided, without its documents."""
    now = world.site.clock.now()
    row = InboxBundle(
        id=fresh(world, "ibx"),
        space_id=world.space.id,
        trust_id=trust.id,
        delivery_id=fresh(world, "dlv"),
        bundle_sha256=DIGEST,
        delivery_document=DIGEST,
        release_sha256=DIGEST,
        release_document=DIGEST,
        owner_space_id=trust.peer_space_id,
        owner_name=trust.peer_name,
        project_name="Web",
        remote_project_id=fresh(world, "prj"),
        release_version="1.0.0",
        seq=1,
        size_bytes=1234,
        received_at=now,
        expires_at=now,
        state=InboxState.READY,
        task_id=make_task(world, kind="receive").id,
    )
    return add(world, row)


def make_receipt(world: World, trust: Trust, *, envelope: bytes = b'{"payload":""}') -> ReceiptRow:
    """A receipt that came in, with its envelope."""
    now = world.site.clock.now()
    document = Document(
        id=f"{world.space.id}:{DIGEST}",
        space_id=world.space.id,
        sha256=DIGEST,
        payload_sha256=DIGEST,
        kind="receipt",
        body=envelope,
        created_at=now,
    )
    add(world, document)
    row = ReceiptRow(
        id=fresh(world, "rcp"),
        space_id=world.space.id,
        direction="in",
        trust_id=trust.id,
        epoch=1,
        seq=1,
        event="succeeded",
        event_no=2,
        release_sha256=DIGEST,
        bundle_sha256=DIGEST,
        document_sha256=DIGEST,
        happened_at=now,
        learned_at=world.site.clock.now(),
    )
    return add(world, row)


def make_package(world: World, package_id: str, version: str = "1.0.0") -> Package:
    """A package."""
    row = Package(
        id=fresh(world, "pkg"),
        space_id=world.space.id,
        package_id=package_id,
        package_version=version,
        size_bytes=10,
        sha256=DIGEST,
        media_type="application/gzip",
        filename="a.tgz",
        origin="pushed",
        created_at=world.site.clock.now(),
    )
    return add(world, row)


def make_carrier(world: World, trust: Trust) -> Carrier:
    """A carrier file that is being made."""
    row = Carrier(
        id=fresh(world, "car"),
        space_id=world.space.id,
        direction="out",
        trust_id=trust.id,
        task_id=make_task(world, kind="carrier_export").id,
        state="queued",
        created_at=world.site.clock.now(),
        created_by="ada",
    )
    return add(world, row)
