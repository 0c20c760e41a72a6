# SPDX-License-Identifier: Apache-2.0
"""A Space with many projects, as an installation has after a year: for counting queries and for measuring.

Written in a few large units of work; nothing of it is signed, because reads of lists look at rows alone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from waybill.app import ids
from waybill.domain.deployments import Deployment, DeploymentState
from waybill.domain.projects import Project
from waybill.domain.promotions import Promotion, PromotionState
from waybill.domain.receipts import ReceiptRow, RemoteCell
from waybill.domain.releases import Release
from waybill.domain.spaces import Environment
from waybill.domain.tasks import Task, TaskState
from waybill.domain.trusts import Grants, Road, Trust, TrustState
from waybill.ports import Ports, Work

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much there is. ``remote`` of the ``environments`` belong to a Remote Space."""

    projects: int = 200
    environments: int = 10
    remote: int = 2
    releases: int = 2


def populate(ports: Ports, *, space_id: str, size: Size) -> None:
    """Every project has releases, each deployed to every own environment and proven in every remote one."""
    writer = _Writer(ports, space_id, ports.clock.now() - timedelta(days=30))
    with ports.ledger.write(space_id) as work:
        trust = writer.trust(work)
        own = [writer.environment(work, f"Stage {number:02}", None) for number in range(size.environments - size.remote)]
        remote = [writer.environment(work, f"Site {number:02}", trust.id) for number in range(size.remote)]
        for number in range(size.projects):
            writer.project(work, number, trust, own, remote, size.releases)


class _Writer:
    def __init__(self, ports: Ports, space_id: str, at: datetime) -> None:
        self.ports, self.space_id, self.at = ports, space_id, at
        self.receipts = 0

    def fresh(self, prefix: str) -> str:
        return ids.fresh(self.ports, prefix)

    def trust(self, work: Work) -> Trust:
        row = Trust(
            id=self.fresh("trs"),
            space_id=self.space_id,
            slug="far",
            name="Far",
            peer_space_id=self.fresh("spc"),
            peer_name="Far",
            fingerprint=DIGEST,
            identity_version=1,
            identity_envelope=b"{}",
            state=TrustState.ACTIVE,
            road=Road.CARRIER,
            grants=Grants(send_releases=True, accept_receipts=True),
            created_at=self.at,
            created_by="ada",
        )
        return work.of(Trust).add(row)

    def environment(self, work: Work, name: str, trust_id: str | None) -> Environment:
        slug = name.casefold().replace(" ", "-")
        return work.of(Environment).add(Environment(id=self.fresh("env"), space_id=self.space_id, slug=slug, name=name, trust_id=trust_id))

    def project(self, work: Work, number: int, trust: Trust, own: list[Environment], remote: list[Environment], releases: int) -> None:
        name = f"Project {number:04}"
        row = Project(id=self.fresh("prj"), space_id=self.space_id, slug=f"project-{number:04}", name=name, group=f"Group {number % 10}")
        project = work.of(Project).add(row)
        for version in range(releases):
            release = self.release(work, project, version)
            for environment in own:
                self.deployment(work, release, environment)
            self.promotion(work, release, trust)
        for environment in remote:
            self.cell(work, project, release, trust, environment)

    def release(self, work: Work, project: Project, number: int) -> Release:
        row = Release(
            id=self.fresh("rel"),
            space_id=self.space_id,
            project_id=project.id,
            release_id=self.fresh("rel"),
            release_version=f"1.{number}.0",
            channel="Default",
            notes="",
            frozen_at=self.at,
            release_sha256=f"{number:02x}" + project.id[4:].ljust(62, "0")[:62],
            document_sha256=DIGEST,
            created_by="ada",
        )
        return work.of(Release).add(row)

    def task(self, work: Work, kind: str, subject_id: str) -> Task:
        task_id = self.fresh("tsk")
        row = Task(
            id=task_id,
            space_id=self.space_id,
            kind=kind,
            title=f"{kind} of a release",
            state=TaskState.SUCCEEDED,
            details="Done",
            workflow_id=f"{kind}:{task_id}",
            story="DeployRelease",
            story_input={},
            subject_id=subject_id,
            created_at=self.at,
            created_by="ada",
            finished_at=self.at,
        )
        return work.of(Task).add(row)

    def deployment(self, work: Work, release: Release, environment: Environment) -> None:
        deployment_id = self.fresh("dep")
        row = Deployment(
            id=deployment_id,
            space_id=self.space_id,
            project_id=release.project_id,
            release_row_id=release.id,
            environment_id=environment.id,
            tenant_id=None,
            state=DeploymentState.SUCCEEDED,
            task_id=self.task(work, "deployment", deployment_id).id,
            created_at=self.at,
            created_by="ada",
            started_at=self.at,
            finished_at=self.at,
        )
        work.of(Deployment).add(row)

    def promotion(self, work: Work, release: Release, trust: Trust) -> None:
        promotion_id = self.fresh("prm")
        row = Promotion(
            id=promotion_id,
            space_id=self.space_id,
            release_row_id=release.id,
            project_id=release.project_id,
            trust_id=trust.id,
            state=PromotionState.DEPLOYED,
            task_id=self.task(work, "promotion", promotion_id).id,
            created_at=self.at,
            created_by="ada",
            follow_until=self.at,
        )
        work.of(Promotion).add(row)

    def cell(self, work: Work, project: Project, release: Release, trust: Trust, environment: Environment) -> None:
        self.receipts += 1
        receipt = ReceiptRow(
            id=self.fresh("rcp"),
            space_id=self.space_id,
            direction="in",
            trust_id=trust.id,
            epoch=1,
            seq=self.receipts,
            event="succeeded",
            event_no=3,
            release_sha256=release.release_sha256,
            bundle_sha256=DIGEST,
            document_sha256=DIGEST,
            happened_at=self.at,
            learned_at=self.at,
            environment_name=environment.name,
            project_id=project.id,
        )
        work.of(ReceiptRow).add(receipt)
        row = RemoteCell(
            id=f"{project.id}:{trust.id}:{environment.name}",
            space_id=self.space_id,
            project_id=project.id,
            trust_id=trust.id,
            environment_name=environment.name,
            release_version=release.release_version,
            release_sha256=release.release_sha256,
            state="succeeded",
            happened_at=self.at,
            learned_at=self.at,
            receipt_id=receipt.id,
            last_success_version=release.release_version,
            last_success_at=self.at,
            event_no=3,
        )
        work.of(RemoteCell).add(row)
