# SPDX-License-Identifier: Apache-2.0
"""The dashboard as the API shows it: what is known, since when, and from whom."""

from datetime import datetime

from api.schemas.base import Shape


class ColumnShape(Shape):
    """One environment, remote ones as ``Space: Environment``."""

    id: str
    name: str
    trust_id: str | None
    confirmed: bool


class CellShape(Shape):
    """What is known of one project in one environment. ``link_id``: a deployment here, a promotion for a remote cell."""

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


class ProjectRowShape(Shape):
    """One project; a missing cell means that nothing is known."""

    project_id: str
    slug: str
    name: str
    group: str
    is_remote: bool
    cells: list[CellShape]


class DashboardShape(Shape):
    """All projects by all environments at one moment."""

    columns: list[ColumnShape]
    rows: list[ProjectRowShape]
    read_at: datetime


class ReleaseRowShape(Shape):
    """One release of a project and its cells."""

    release_row_id: str
    release_version: str
    frozen_at: datetime
    blocked_reason: str | None
    cells: list[CellShape]


class ProjectViewShape(Shape):
    """The newest releases of one project by environments."""

    project_id: str
    name: str
    columns: list[ColumnShape]
    releases: list[ReleaseRowShape]
    read_at: datetime
