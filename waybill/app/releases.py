# SPDX-License-Identifier: Apache-2.0
"""Releases: frozen from a project, viewed, blocked. A release never changes after it was frozen.

Refused: the same version with other content, a reference that leads nowhere, a step package or package that cannot be pinned.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from waybill.app import access, comparing, documents, freezing, identity, ids, lookup, snapshots
from waybill.app.comparing import Change
from waybill.app.revisions import check_revision
from waybill.domain.access import Caller, Permission
from waybill.domain.coordinates import check_release_version
from waybill.domain.names import check_name
from waybill.domain.packages import Blob, Package, StepPackage
from waybill.domain.projects import Action, Process, Project
from waybill.domain.releases import Document, Release, SnapshotValue
from waybill.domain.spaces import Environment, SpaceKeys
from waybill.domain.trusts import Trust
from waybill.domain.values import is_sealed
from waybill.domain.variables import Scope, Template, ValueType, Variable
from waybill.errors import ConflictError, FormatError, UnavailableError
from waybill.formats import envelope
from waybill.formats import release as release_format
from waybill.formats.release import ReleaseDoc, ReleaseOwner, ReleaseProject
from waybill.ports import Page, Ports, Work
from waybill.trust.sign import sign_envelope

MAX_NOTES: Final = 60_000
"""Characters of release notes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableView:
    """A frozen variable as people may see it: of a secret only whether it ``is_set``. ``target``: the Remote Space that it is meant for, by name."""

    variable_id: str
    name: str
    type: ValueType
    scope: Scope
    value: str | None
    is_secret: bool
    is_set: bool
    template: Template | None
    target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageView:
    """One line of the package manifest; ``is_present``: the bytes are in this site's store, verified."""

    ref_names: tuple[str, ...]
    package_id: str
    package_version: str
    size_bytes: int
    sha256: str
    is_present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseView:
    """The frozen content of a release (A77), from its signed document and its snapshot; never from the current process."""

    release: Release
    actions: tuple[Action, ...]
    variables: tuple[VariableView, ...]
    packages: tuple[PackageView, ...]
    step_packages: tuple[PackageView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseDiff:
    """Two releases of one project compared (A78); ``equal`` when nothing differs."""

    before: Release
    after: Release
    equal: bool
    changes: tuple[Change, ...]


def create_release(
    ports: Ports,
    caller: Caller,
    *,
    space_id: str,
    project: str,
    version: str,
    channel: str = "Default",
    notes: str = "",
    packages: Mapping[str, str] | None = None,
) -> Release:
    """The project frozen and signed under ``version``; the same version with equal content gives the first release again.

    Args:
        packages: reference name (or package id) to package version; the newest otherwise.
    Raises:
        ConflictError: release.conflict, for a version that exists with other content; record.read_only, for a remote project.
        FormatError: bundle.incomplete, process.invalid, process.unsupported, request.invalid.
    """
    access.require(caller, space_id, Permission.RELEASE_CREATE)
    check_release_version(version)
    check_name(channel, field="channel")
    if len(notes) > MAX_NOTES or "\0" in notes:
        raise FormatError("request.invalid", "the notes cannot be used", field="notes", expected=f"at most {MAX_NOTES} characters of text")
    with ports.ledger.write(space_id) as work:
        owner = lookup.find_project(work, project)
        if owner.is_remote:
            raise ConflictError(
                "record.read_only", f"{owner.owner_name} owns this project", field="project", found=lookup.shown_project(owner)
            )
        environments = {row.id: row for row in work.of(Environment).where()}
        variables = work.of(Variable).where(project_id=owner.id)
        release_id = ids.fresh(ports, "rel")
        wanted = _Wanted(
            release_id=release_id,
            version=version,
            channel=channel,
            notes=notes,
            packages=packages or {},
            frozen_at=ports.clock.now().replace(microsecond=0),
        )
        doc = _freeze(work, owner, variables, environments, wanted)
        values = snapshots.copy_variables(
            ports, space_id=space_id, release_row_id=release_id, variables=variables, environments=environments
        )
        first = work.of(Release).first(project_id=owner.id, release_version=version)
        if first is not None:
            return _same_or_conflict(ports, work, first, doc, values)
        return _store(ports, work, caller, owner, doc, values)


def list_releases(
    ports: Ports, caller: Caller, *, space_id: str, project: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page:
    """One page of releases, newest first, of one project where given."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        if project is not None:
            return work.of(Release).page(limit=limit, cursor=cursor, project_id=lookup.find_project(work, project).id)
        return work.of(Release).page(limit=limit, cursor=cursor)


def get_release(ports: Ports, caller: Caller, *, space_id: str, release: str, project: str | None = None) -> Release:
    """One release by row id, or by version within ``project``. Raises NotFoundError record.absent."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return lookup.find_release(work, release, project=project)


def release_view(ports: Ports, caller: Caller, *, space_id: str, release: str, project: str | None = None) -> ReleaseView:
    """What is frozen in a release, own or imported."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        row = lookup.find_release(work, release, project=project)
        doc = read_doc(ports, work, row)
        values = snapshots.values_of(work, row.id)
        trusts = {trust.id: trust.name for trust in work.of(Trust).where()}
        digests = [one.sha256 for one in doc.packages] + [one.sha256 for one in doc.step_packages]
        present = {blob.id for blob in work.of(Blob).among("id", digests)}
    steps = tuple(
        PackageView(
            ref_names=(),
            package_id=step.package_id,
            package_version=step.version,
            size_bytes=step.size_bytes,
            sha256=step.sha256,
            is_present=step.sha256 in present,
        )
        for step in doc.step_packages
    )
    packages = tuple(
        PackageView(
            ref_names=one.ref_names,
            package_id=one.package_id,
            package_version=one.version,
            size_bytes=one.size_bytes,
            sha256=one.sha256,
            is_present=one.sha256 in present,
        )
        for one in doc.packages
    )
    return ReleaseView(
        release=row, actions=doc.actions, variables=_variable_views(doc, values, trusts), packages=packages, step_packages=steps
    )


def block_release(ports: Ports, caller: Caller, *, space_id: str, release: str, reason: str, if_revision: int) -> Release:
    """No new deployment or promotion of the release starts (P18). Raises ConflictError record.stale; FormatError request.invalid."""
    if not reason.strip() or len(reason) > 1000:
        raise FormatError("request.invalid", "a block needs a reason", field="reason", expected="1 to 1000 characters")
    return _set_blocked(ports, caller, space_id, release, reason.strip(), if_revision)


def unblock_release(ports: Ports, caller: Caller, *, space_id: str, release: str, if_revision: int) -> Release:
    """The release may be deployed and promoted again. Raises ConflictError record.stale."""
    return _set_blocked(ports, caller, space_id, release, None, if_revision)


def diff_releases(ports: Ports, caller: Caller, *, space_id: str, before: str, after: str) -> ReleaseDiff:
    """What differs between two releases of one project, given by row id.

    Raises:
        FormatError: request.invalid, for releases of two projects.
    """
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        one, other = lookup.find_release(work, before), lookup.find_release(work, after)
        if one.project_id != other.project_id:
            raise FormatError(
                "request.invalid", "those are releases of two projects", field="after", expected="a release of the same project"
            )
        changes = comparing.compare(
            ports,
            (read_doc(ports, work, one), snapshots.values_of(work, one.id)),
            (read_doc(ports, work, other), snapshots.values_of(work, other.id)),
        )
    return ReleaseDiff(before=one, after=other, equal=not changes, changes=changes)


def read_doc(ports: Ports, work: Work, release: Release) -> ReleaseDoc:
    """The signed document of a release, read back from the ledger with its digest checked.

    The signature was verified when the document came in, or made here; the digest binds these bytes to that.

    Raises:
        UnavailableError: store.integrity, when the ledger returned other bytes than were stored.
    """
    del ports  # every reader of documents takes the ports first
    document = documents.load(work, release.document_sha256)
    payload = envelope.decode(document.body).payload
    found = hashlib.sha256(payload).hexdigest()
    if found != release.release_sha256:
        raise UnavailableError(
            "store.integrity", "the release in the database is not the one signed", expected=release.release_sha256, found=found
        )
    return release_format.decode(payload)


def release_document(work: Work, release: Release) -> Document:
    """The stored envelope of a release: the same bytes that every target gets."""
    return documents.load(work, release.document_sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What the person who creates a release decides."""

    release_id: str
    version: str
    channel: str
    notes: str
    packages: Mapping[str, str]
    frozen_at: datetime


def _freeze(
    work: Work, owner: Project, variables: Sequence[Variable], environments: Mapping[str, Environment], wanted: _Wanted
) -> ReleaseDoc:
    process = work.of(Process).get(owner.id)
    frozen = freezing.freeze_process(
        process.actions, step_packages=work.of(StepPackage).where(), packages=work.of(Package).where(), versions=wanted.packages
    )
    freezing.check_references(frozen.actions, variables)
    return ReleaseDoc(
        release_id=wanted.release_id,
        frozen_at=wanted.frozen_at,
        owner=ReleaseOwner(space_id=work.space_id, identity_sha256=work.of(SpaceKeys).get(work.space_id).identity_sha256),
        project=ReleaseProject(id=owner.id, name=owner.name, group=owner.group),
        version=wanted.version,
        channel_name=wanted.channel,
        notes=wanted.notes,
        actions=frozen.actions,
        variables=freezing.release_variables(variables, environments),
        packages=frozen.packages,
        step_packages=frozen.step_packages,
    )


def _same_or_conflict(ports: Ports, work: Work, first: Release, doc: ReleaseDoc, values: Sequence[SnapshotValue]) -> Release:
    """The first release of this version, when it says the same. Raises ConflictError release.conflict."""
    known = read_doc(ports, work, first)
    # Whole seconds and ids of the freeze itself are no content.
    alike = replace(doc, release_id=known.release_id, frozen_at=known.frozen_at, owner=known.owner)
    if alike == known and snapshots.same_values(ports, values, snapshots.values_of(work, first.id)):
        return first
    message = f"version {first.release_version} exists with other content"
    raise ConflictError("release.conflict", message, field="version", expected="a new version", found=first.release_version)


def _store(ports: Ports, work: Work, caller: Caller, owner: Project, doc: ReleaseDoc, values: Sequence[SnapshotValue]) -> Release:
    payload = release_format.encode(doc)
    body = sign_envelope(release_format.PAYLOAD_TYPE, payload, identity.signing_key(ports, work))
    now = ports.clock.now()
    document = documents.store(work, body=body, kind="release", created_at=now)
    release = Release(
        id=doc.release_id,
        space_id=work.space_id,
        project_id=owner.id,
        release_id=doc.release_id,
        release_version=doc.version,
        channel=doc.channel_name,
        notes=doc.notes,
        frozen_at=doc.frozen_at,
        release_sha256=document.payload_sha256,
        document_sha256=document.sha256,
        created_by=caller.name,
    )
    work.of(Release).add(release)
    for value in values:
        work.of(SnapshotValue).add(value)
    detail = f"{owner.name} {doc.version} {document.payload_sha256}"
    work.audit(at=now, actor=caller.name, action="release.created", subject=release.id, detail=detail)
    return release


def _variable_views(doc: ReleaseDoc, values: Sequence[SnapshotValue], trusts: Mapping[str, str]) -> tuple[VariableView, ...]:
    """The snapshot, and of what the document names beside it that it exists and is not set here."""
    views = [
        VariableView(
            variable_id=row.variable_id,
            name=row.name,
            type=row.type,
            scope=row.scope,
            value=row.value,
            is_secret=row.sealed is not None or is_sealed(row.type),
            is_set=row.value is not None or row.sealed is not None,
            template=row.template,
            target=trusts.get(row.trust_id or ""),
        )
        for row in values
    ]
    held = {row.variable_id for row in values}
    views += [
        VariableView(
            variable_id=one.id,
            name=one.name,
            type=one.type,
            scope=one.scope,
            value=one.value,
            is_secret=one.sensitive or is_sealed(one.type),
            is_set=one.value is not None,
            template=one.template,
        )
        for one in doc.variables
        if one.id not in held
    ]
    return tuple(sorted(views, key=lambda view: (view.name.casefold(), view.variable_id)))


def _set_blocked(ports: Ports, caller: Caller, space_id: str, release: str, reason: str | None, if_revision: int) -> Release:
    access.require(caller, space_id, Permission.RELEASE_CREATE)
    with ports.ledger.write(space_id) as work:
        row = lookup.find_release(work, release)
        check_revision(row, if_revision)
        action = "release.blocked" if reason else "release.unblocked"
        work.audit(at=ports.clock.now(), actor=caller.name, action=action, subject=row.id, detail=reason or "")
        return work.of(Release).replace(replace(row, blocked_reason=reason))
