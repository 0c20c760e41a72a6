# SPDX-License-Identifier: Apache-2.0
"""The dashboard: projects by environments, own and remote, in a number of queries that does not grow with either.

A remote cell shows what verified receipts prove, and nothing else: without a receipt there is no cell (A46).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from waybill.app import access, lookup
from waybill.domain.access import Caller, Permission
from waybill.domain.deployments import Deployment, DeploymentState
from waybill.domain.projects import Project
from waybill.domain.receipts import ReceiptRow, RemoteCell
from waybill.domain.releases import Release
from waybill.domain.spaces import SEPARATOR, Environment
from waybill.domain.trusts import Trust
from waybill.ports import Ports, Work

SHOWN_STATES = {"queued": "queued", "started": "deploying", "succeeded": "succeeded", "failed": "failed", "cancelled": "cancelled"}
"""Receipt event to the state of a remote cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One environment. ``name`` is ``Space: Environment`` for a remote one.

    ``id`` is the Environment's id, or ``{trust_id}:{name}`` when only receipts know it.
    """

    id: str
    name: str
    trust_id: str | None
    confirmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What is known of one project in one environment.

    ``as_of``: when the peer was last heard of, for a remote one. ``link_id``: a deployment here, a promotion for a remote cell.
    """

    column_id: str
    release_version: str
    release_row_id: str | None
    state: str
    happened_at: datetime
    learned_at: datetime
    as_of: datetime | None
    last_success_version: str | None
    last_success_at: datetime | None
    link_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRow:
    """One project, its cells in the order of the columns; a missing cell means: nothing is known, never success."""

    project_id: str
    slug: str
    name: str
    group: str
    is_remote: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """All of it at one moment."""

    columns: tuple[Column, ...]
    rows: tuple[ProjectRow, ...]
    read_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRow:
    """One release in a project's view: its cells by environment."""

    release_row_id: str
    release_version: str
    frozen_at: datetime
    blocked_reason: str | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectView:
    """The newest releases of one project by environments."""

    project_id: str
    name: str
    columns: tuple[Column, ...]
    releases: tuple[ReleaseRow, ...]
    read_at: datetime


def dashboard(ports: Ports, caller: Caller, *, space_id: str, project_ids: Sequence[str] | None = None) -> Dashboard:
    """Every project (or those named by id) in every environment; eight queries."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        projects = work.of(Project).where() if project_ids is None else work.of(Project).among("id", project_ids)
        environments, trusts = work.of(Environment).where(), work.of(Trust).where()
        remote = _remote_cells(work, environments, trusts, project_ids)
        columns = _columns(environments, trusts, ((cell.trust_id, cell.environment_name) for cell, _ in remote))
        by_project: dict[str, dict[str, Cell]] = {}
        for project_id, cell in _local_cells(work):
            by_project.setdefault(project_id, {})[cell.column_id] = cell
        for proven, shown in remote:
            by_project.setdefault(proven.project_id, {})[_column_of(columns, proven.trust_id, proven.environment_name)] = shown
    rows = [
        ProjectRow(
            project_id=project.id,
            slug=project.slug,
            name=lookup.shown_project(project),
            group=project.group,
            is_remote=project.is_remote,
            cells=_in_order(columns, by_project.get(project.id, {})),
        )
        for project in projects
    ]
    return Dashboard(
        columns=columns, rows=tuple(sorted(rows, key=lambda row: (row.group.casefold(), row.name.casefold()))), read_at=ports.clock.now()
    )


def project_view(ports: Ports, caller: Caller, *, space_id: str, project: str, limit: int = 20) -> ProjectView:
    """The newest ``limit`` releases of one project (1 to 200), each with what is known of it per environment."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        owner = lookup.find_project(work, project)
        releases = work.of(Release).where(newest_first=True, limit=max(1, min(limit, 200)), project_id=owner.id)
        environments, trusts = work.of(Environment).where(), work.of(Trust).where()
        deployed = work.of(Deployment).newest_by("release_row_id", "environment_id", project_id=owner.id)
        succeeded = work.of(Deployment).newest_by("release_row_id", "environment_id", project_id=owner.id, state=DeploymentState.SUCCEEDED)
        told = work.of(ReceiptRow).newest_by("release_sha256", "trust_id", "environment_name", project_id=owner.id, direction="in")
    shown = [row for row in told if row.environment_name is not None and row.event in SHOWN_STATES]
    columns = _columns(environments, trusts, ((row.trust_id, row.environment_name or "") for row in shown))
    heard = {trust.id: trust.last_contact_at for trust in trusts}
    by_release: dict[str, dict[str, Cell]] = {}
    versions = {row.id: row for row in releases}
    last = {(row.release_row_id, row.environment_id): row for row in succeeded}
    for deployment in deployed:
        release = versions.get(deployment.release_row_id)
        if release is not None:
            success = last.get((deployment.release_row_id, deployment.environment_id))
            cell = _local_cell(deployment, release, success, release if success else None)
            by_release.setdefault(release.id, {})[cell.column_id] = cell
    for release in releases:
        for row in shown:
            if row.release_sha256 == release.release_sha256:
                column_id = _column_of(columns, row.trust_id, row.environment_name or "")
                by_release.setdefault(release.id, {})[column_id] = _told_cell(row, release, column_id, heard.get(row.trust_id))
    return ProjectView(
        project_id=owner.id,
        name=lookup.shown_project(owner),
        columns=columns,
        releases=tuple(
            ReleaseRow(
                release_row_id=release.id,
                release_version=release.release_version,
                frozen_at=release.frozen_at,
                blocked_reason=release.blocked_reason,
                cells=_in_order(columns, by_release.get(release.id, {})),
            )
            for release in releases
        ),
        read_at=ports.clock.now(),
    )


def _columns(environments: Sequence[Environment], trusts: Sequence[Trust], proven: Iterable[tuple[str, str]]) -> tuple[Column, ...]:
    """Own environments in their order, remote ones by name, then those that only receipts know."""
    ordered = sorted(environments, key=lambda row: (row.is_remote, row.sort_order, row.name.casefold()))
    columns = [
        Column(id=row.id, name=lookup.shown_environment(row, trusts), trust_id=row.trust_id, confirmed=row.confirmed) for row in ordered
    ]
    placed = {(row.trust_id, row.name) for row in environments if row.trust_id is not None}
    names = {trust.id: trust.name for trust in trusts}
    unplaced = sorted({key for key in proven if key not in placed}, key=lambda key: (names.get(key[0], ""), key[1]))
    columns += [
        Column(id=f"{trust_id}:{name}", name=f"{names.get(trust_id, trust_id)}{SEPARATOR}{name}", trust_id=trust_id, confirmed=True)
        for trust_id, name in unplaced
    ]
    return tuple(columns)


def _column_of(columns: Sequence[Column], trust_id: str, environment_name: str) -> str:
    ending = f"{SEPARATOR}{environment_name}"
    return next(column.id for column in columns if column.trust_id == trust_id and column.name.endswith(ending))


def _local_cells(work: Work) -> Iterable[tuple[str, Cell]]:
    """The newest deployment of each project in each own environment, with the last success beside it."""
    newest = work.of(Deployment).newest_by("project_id", "environment_id")
    succeeded = work.of(Deployment).newest_by("project_id", "environment_id", state=DeploymentState.SUCCEEDED)
    releases = _releases(work, "id", {row.release_row_id for row in (*newest, *succeeded)})
    last = {(row.project_id, row.environment_id): row for row in succeeded}
    for row in newest:
        success = last.get((row.project_id, row.environment_id))
        yield row.project_id, _local_cell(row, releases[row.release_row_id], success, releases[success.release_row_id] if success else None)


def _local_cell(row: Deployment, release: Release, success: Deployment | None, success_release: Release | None) -> Cell:
    happened_at = row.finished_at or row.started_at or row.created_at
    return Cell(
        column_id=row.environment_id,
        release_version=release.release_version,
        release_row_id=release.id,
        state=row.state.value,
        happened_at=happened_at,
        learned_at=happened_at,
        as_of=None,
        last_success_version=success_release.release_version if success_release else None,
        last_success_at=success.finished_at if success else None,
        link_id=row.id,
    )


def _remote_cells(
    work: Work, environments: Sequence[Environment], trusts: Sequence[Trust], project_ids: Sequence[str] | None
) -> list[tuple[RemoteCell, Cell]]:
    rows = work.of(RemoteCell).where() if project_ids is None else work.of(RemoteCell).among("project_id", project_ids)
    placed = {(row.trust_id, row.name): row.id for row in environments}
    promotions = {row.id: row.promotion_id for row in work.of(ReceiptRow).among("id", [row.receipt_id for row in rows])}
    releases = {
        (row.project_id, row.release_sha256): row for row in work.of(Release).among("release_sha256", {row.release_sha256 for row in rows})
    }
    heard = {trust.id: trust.last_contact_at for trust in trusts}
    cells = []
    for row in rows:
        release = releases.get((row.project_id, row.release_sha256))
        cell = Cell(
            column_id=placed.get((row.trust_id, row.environment_name), f"{row.trust_id}:{row.environment_name}"),
            release_version=row.release_version,
            release_row_id=release.id if release else None,
            state=row.state,
            happened_at=row.happened_at,
            learned_at=row.learned_at,
            as_of=heard.get(row.trust_id) or row.learned_at,
            last_success_version=row.last_success_version,
            last_success_at=row.last_success_at,
            link_id=promotions.get(row.receipt_id),
        )
        cells.append((row, cell))
    return cells


def _told_cell(row: ReceiptRow, release: Release, column_id: str, heard_at: datetime | None) -> Cell:
    is_success = row.event == "succeeded"
    return Cell(
        column_id=column_id,
        release_version=release.release_version,
        release_row_id=release.id,
        state=SHOWN_STATES[row.event],
        happened_at=row.happened_at,
        learned_at=row.learned_at,
        as_of=heard_at or row.learned_at,
        last_success_version=release.release_version if is_success else None,
        last_success_at=row.happened_at if is_success else None,
        link_id=row.promotion_id,
    )


def _releases(work: Work, column: str, values: Iterable[str]) -> Mapping[str, Release]:
    return {row.id: row for row in work.of(Release).among(column, values)}


def _in_order(columns: Sequence[Column], cells: Mapping[str, Cell]) -> tuple[Cell, ...]:
    return tuple(cells[column.id] for column in columns if column.id in cells)
