# SPDX-License-Identifier: Apache-2.0
"""Rows by what a person types: an id, a slug, a name or a version. What is not there, or is another Space's, is absent."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from waybill.domain.lifecycles import Lifecycle
from waybill.domain.projects import Project
from waybill.domain.releases import Release
from waybill.domain.spaces import SEPARATOR, Environment, Machine, Space, Tenant
from waybill.domain.trusts import Trust, TrustState
from waybill.errors import ConflictError, NotFoundError
from waybill.ports import SITE, Ports, Work


class Named(Protocol):
    """A row with a slug and a name."""

    @property
    def id(self) -> str: ...
    @property
    def revision(self) -> int: ...
    @property
    def slug(self) -> str: ...
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


def find_space(ports: Ports, space: str) -> Space:
    """The Space with this id, slug or name. Whether the caller may see it is ``access.require``'s to say."""
    with ports.ledger.read(SITE) as work:
        return _named(work, Space, space, "Space", "space")


def find_environment(work: Work, environment: str) -> Environment:
    """The environment with this id, slug or name; a remote one also as ``Space: Environment``."""
    rows = work.of(Environment)
    found = rows.find(environment) or rows.first(slug=environment)
    if found is not None:
        return found
    space_name, separator, name = environment.partition(SEPARATOR)
    if separator:
        owners = {trust.id for trust in work.of(Trust).where(name=space_name)}
        found = next((row for row in rows.where(name=name) if row.trust_id in owners), None)
    else:
        found = rows.first(name=environment, trust_id=None)
    if found is None:
        raise _absent("environment", "environment", environment)
    return found


def find_own_environment(work: Work, environment: str) -> Environment:
    """The same, but only an environment of this Space. Raises ConflictError record.read_only for a remote one."""
    found = find_environment(work, environment)
    if found.is_remote:
        raise ConflictError("record.read_only", "that environment belongs to a Remote Space", field="environment", found=environment)
    return found


def find_tenant(work: Work, tenant: str) -> Tenant:
    """The tenant with this id, slug or name."""
    return _named(work, Tenant, tenant, "tenant", "tenant")


def find_lifecycle(work: Work, lifecycle: str) -> Lifecycle:
    """The lifecycle with this id, slug or name."""
    return _named(work, Lifecycle, lifecycle, "lifecycle", "lifecycle")


def find_trust(work: Work, trust: str) -> Trust:
    """The trust with this id, slug or local name, or with this peer Space id."""
    rows = work.of(Trust)
    found = rows.find(trust)
    if found is not None:
        return found
    # Slugs, names and peers of ended trusts may be used again: a living one wins, else the newest.
    matches = [*rows.where(slug=trust), *rows.where(name=trust), *rows.where(peer_space_id=trust)]
    if not matches:
        raise _absent("trust", "trust", trust)
    living = [row for row in matches if row.state is not TrustState.RETIRED]
    return living[0] if living else matches[-1]


def find_project(work: Work, project: str) -> Project:
    """The project with this id or slug, an own one by name, a remote one also as ``Space: Project``."""
    rows = work.of(Project)
    found = rows.find(project) or rows.first(slug=project) or rows.first(name=project, owner_space_id=None)
    owner_name, separator, name = project.partition(SEPARATOR)
    if found is None and separator:
        found = rows.first(owner_name=owner_name, name=name)
    if found is None:
        raise _absent("project", "project", project)
    return found


def find_release(work: Work, release: str, *, project: str | None = None) -> Release:
    """The release with this row id, or with this version in ``project``."""
    rows = work.of(Release)
    found = rows.find(release)
    if found is None and project is not None:
        found = rows.first(project_id=find_project(work, project).id, release_version=release)
    if found is None:
        raise _absent("release", "release", release)
    return found


def find_machine(work: Work, machine: str) -> Machine:
    """The machine with this id or name."""
    found = work.of(Machine).find(machine) or work.of(Machine).first(name=machine)
    if found is None:
        raise _absent("machine", "machine", machine)
    return found


def shown_environment(environment: Environment, trusts: Sequence[Trust]) -> str:
    """The name under which an environment is shown everywhere: ``Space: Environment`` for a remote one (A41)."""
    trust = next((one for one in trusts if one.id == environment.trust_id), None)
    return f"{trust.name}{SEPARATOR}{environment.name}" if trust else environment.name


def shown_project(project: Project) -> str:
    """The name under which a project is shown everywhere: ``Space: Project`` for a remote one (A67)."""
    return f"{project.owner_name}{SEPARATOR}{project.name}" if project.is_remote else project.name


def _find_named(work: Work, kind: type[N], text: str) -> N | None:
    rows = work.of(kind)
    return rows.find(text) or rows.first(slug=text) or rows.first(name=text)


def _named(work: Work, kind: type[N], text: str, noun: str, field: str) -> N:
    found = _find_named(work, kind, text)
    if found is None:
        raise _absent(noun, field, text)
    return found


def _absent(noun: str, field: str, text: str) -> NotFoundError:
    return NotFoundError("record.absent", f"there is no such {noun} here", field=field, found=text[:100])
