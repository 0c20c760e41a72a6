# SPDX-License-Identifier: Apache-2.0
"""The preview: what an import would do, as a decision document. Nothing is written; it works offline.

The same facts give the same bytes and so the same ``sha256``; an approval names that digest, and is void when anything changed (N6).
A secret shows only as set or not set.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from waybill.app import access, incoming_lanes, preview_changes, releases, template_needs
from waybill.app.preview_lines import (
    ActionLine,
    CustodyLine,
    EnvironmentLine,
    HistoryLine,
    LifecycleLine,
    PackageLine,
    Preview,
    StepPackageLine,
    TemplateLine,
    VariableLine,
)
from waybill.app.receive import find_inbox, verify_stored
from waybill.app.situation import lacking
from waybill.domain.access import Caller, Permission
from waybill.domain.bundles import InboxBundle
from waybill.domain.coordinates import version_key
from waybill.domain.deployments import Deployment, DeploymentState
from waybill.domain.ids import JsonValue
from waybill.domain.lifecycles import Lifecycle
from waybill.domain.packages import Package
from waybill.domain.projects import Project
from waybill.domain.releases import Release, SnapshotValue
from waybill.formats import canonical
from waybill.formats.fields import write_optional_time, write_time
from waybill.ports import Ports, Work
from waybill.trust.verify import VerifiedBundle

__all__ = [
    "ActionLine", "CustodyLine", "EnvironmentLine", "HistoryLine", "LifecycleLine", "PackageLine", "Preview", "StepPackageLine",
    "TemplateLine", "VariableLine", "compute", "preview",
]  # fmt: skip


def preview(ports: Ports, caller: Caller, *, space_id: str, inbox: str) -> Preview:
    """What importing the bundle would do, computed afresh from the stored documents, which are verified again.

    Raises:
        NotFoundError: record.absent. TrustError: the trust no longer accepts it (retired, revoked, expired).
    """
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return compute(ports, work, find_inbox(work, inbox))


def compute(ports: Ports, work: Work, inbox: InboxBundle) -> Preview:
    """The preview inside a unit of work, so that a decision can be compared with it in its own transaction."""
    verified = verify_stored(ports, work, inbox)
    project = template_needs.find_project(work, verified.release)
    previous = _previous(work, project, inbox)
    before = None if previous is None else releases.read_doc(ports, work, previous)
    values_before = [] if previous is None else work.of(SnapshotValue).where(release_row_id=previous.id)
    missing = {need.sha256 for need in lacking(work, inbox.needs)}
    removed_actions, removed_variables = preview_changes.removed(verified, before, values_before)
    document = Preview(
        inbox_id=inbox.id,
        bundle_sha256=inbox.bundle_sha256,
        release_sha256=inbox.release_sha256,
        release_version=inbox.release_version,
        channel=verified.release.channel_name,
        notes=verified.release.notes,
        frozen_at=write_time(verified.release.frozen_at),
        expires_at=write_time(verified.delivery.expires_at),
        project_name=verified.release.project.name,
        owner_space_id=inbox.owner_space_id,
        owner_name=inbox.owner_name,
        sender_space_id=verified.delivery.sender.space_id,
        sender_name=verified.delivery.sender.name,
        sender_fingerprint=verified.peer.identity.fingerprint,
        previous_version=None if previous is None else previous.release_version,
        project_change="created" if project is None else "extended",
        custody=tuple(
            CustodyLine(space_id=one.space_id, delivery_sha256=one.delivery_sha256, release_verified=one.release_verified, note=one.note)
            for one in verified.via
        ),
        packages=preview_changes.package_lines(verified.release, before, missing),
        step_packages=preview_changes.step_package_lines(verified.release, before, missing),
        actions=preview_changes.action_lines(work, verified, before),
        removed_actions=removed_actions,
        variables=preview_changes.variable_lines(verified, before, values_before),
        removed_variables=removed_variables,
        templates=_templates(work, inbox, verified, project),
        environments=_environments(work, verified),
        lifecycles=_lifecycles(work, project),
        history=tuple(
            HistoryLine(
                space=one.space, environment=one.environment, state=one.state, finished_at=write_optional_time(one.finished_at) or ""
            )
            for one in verified.delivery.history
        ),
        warnings=tuple(_warnings(work, inbox, verified, project)),
        only_changes=before is not None,
        sha256="",
    )
    return replace(document, sha256=_digest(document))


def _digest(document: Preview) -> str:
    fields = {name: _plain(value) for name, value in asdict(document).items() if name != "sha256"}
    return hashlib.sha256(canonical.encode(fields)).hexdigest()


def _plain(value: object) -> JsonValue:
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, (str, int)):
        return value
    raise TypeError(f"a preview holds no {type(value).__name__}")


def _previous(work: Work, project: Project | None, inbox: InboxBundle) -> Release | None:
    """The release of the project that was imported last, other than the one of this bundle."""
    if project is None:
        return None
    rows = work.of(Release).where(project_id=project.id, newest_first=True, limit=2)
    return next((row for row in rows if row.release_sha256 != inbox.release_sha256), None)


def _templates(work: Work, inbox: InboxBundle, verified: VerifiedBundle, project: Project | None) -> tuple[TemplateLine, ...]:
    values = template_needs.bundle_values(work, project=project, inbox=inbox, delivery=verified.delivery, release=verified.release)
    lifecycle = template_needs.lifecycle_of(work, project)
    asks = template_needs.list_asks(work, values, channel=verified.release.channel_name, lifecycle=lifecycle)
    return tuple(_template_line(ask) for ask in asks)


def _template_line(ask: template_needs.Ask) -> TemplateLine:
    template = ask.template.template
    if template is None:
        raise TypeError("an ask is about a template")
    return TemplateLine(
        variable_id=ask.template.variable_id,
        name=ask.template.name,
        type=ask.template.type.value,
        label=template.label,
        help=template.help,
        choices=template.choices,
        mandatory=template.mandatory,
        environment_id=ask.environment.id,
        environment_name=ask.environment.name,
        tenant_id=ask.tenant.id if ask.tenant else None,
        tenant_name=ask.tenant.name if ask.tenant else None,
        state=ask.state,
    )


def _environments(work: Work, verified: VerifiedBundle) -> tuple[EnvironmentLine, ...]:
    matched = dict(template_needs.match_environments(work, verified.delivery))
    return tuple(EnvironmentLine(sender_id=one.id, name=one.name, local_id=matched.get(one.id)) for one in verified.delivery.environments)


def _lifecycles(work: Work, project: Project | None) -> tuple[LifecycleLine, ...]:
    chosen = template_needs.lifecycle_of(work, project)
    rows = sorted(work.of(Lifecycle).where(), key=lambda row: row.name)
    return tuple(LifecycleLine(lifecycle_id=row.id, name=row.name, preselected=row == chosen) for row in rows)


def _warnings(work: Work, inbox: InboxBundle, verified: VerifiedBundle, project: Project | None) -> Iterator[str]:
    for first, last in incoming_lanes.open_gaps(work, trust_id=inbox.trust_id, kind="delivery"):
        yield f"Bundles {first} to {last} of this sender never arrived" if last > first else f"Bundle {first} of this sender never arrived"
    for one in verified.delivery.environments:
        if one.id not in dict(template_needs.match_environments(work, verified.delivery)):
            yield f"There is no environment {one.name} here: what is limited to it will not run"
    for package in verified.release.packages:
        known = work.of(Package).first(package_id=package.package_id, package_version=package.version)
        if known is not None and known.sha256 != package.sha256:
            yield f"{package.package_id} {package.version} is here with other bytes; this release uses its own"
    yield from _older_than_deployed(work, verified, project)


def _older_than_deployed(work: Work, verified: VerifiedBundle, project: Project | None) -> Sequence[str]:
    """A release may go back, but never unseen (security.md row 31)."""
    if project is None:
        return ()
    names = {row.id: row.name for row in template_needs.own_environments(work)}
    warnings = []
    for environment_id, name in names.items():
        rows = work.of(Deployment).where(
            project_id=project.id, environment_id=environment_id, state=DeploymentState.SUCCEEDED, newest_first=True, limit=1
        )
        deployed = work.of(Release).get(rows[0].release_row_id).release_version if rows else None
        if deployed is not None and version_key(verified.release.version) < version_key(deployed):
            warnings.append(f"Older than {deployed}, which runs in {name}")
    return warnings
