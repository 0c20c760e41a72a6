# SPDX-License-Identifier: Apache-2.0
"""The rows of an import: remote project, release, snapshot, packages, step packages, answers turned into values.

Everything is written in the caller's transaction. Secrets are opened with this Space's encryption key and wrapped again at once for the
row that holds them; their plaintext is a local of ``_reseal`` and nothing else.
"""

from collections.abc import Mapping
from dataclasses import replace

from waybill.app import held_values, identity, ids, releases, secrets, template_needs
from waybill.app.secrets import ANSWERS
from waybill.domain.bundles import Answer, InboxBundle
from waybill.domain.ids import JsonValue
from waybill.domain.names import free_slug
from waybill.domain.packages import Package, StepPackage
from waybill.domain.projects import Project
from waybill.domain.readiness import Place, missing_at
from waybill.domain.releases import Release, SnapshotValue
from waybill.domain.variables import Scope, Variable
from waybill.errors import ConflictError, TrustError
from waybill.formats.delivery import DeliveryValue
from waybill.formats.layout import blob_key
from waybill.formats.release import ReleaseDoc
from waybill.ports import Ports, Work
from waybill.steps.manifest import MAX_PACKED_BYTES, read_package
from waybill.trust import seal
from waybill.trust.verify import VerifiedBundle

__all__ = ["VerifiedBundle", "missing_names", "read_manifests", "write"]

Manifests = Mapping[str, dict[str, JsonValue]]


def read_manifests(ports: Ports, release: ReleaseDoc) -> Manifests:
    """The manifest of every step package of the closure, by digest, read from this site's store.

    Raises:
        FormatError: step.package_invalid. NotFoundError: record.absent, when the object is gone. ConflictError: package.size_exceeded.
    """
    found: dict[str, dict[str, JsonValue]] = {}
    for one in release.step_packages:
        if one.size_bytes > MAX_PACKED_BYTES:
            raise ConflictError("package.size_exceeded", "the step package is too large", field=one.package_id, expected=MAX_PACKED_BYTES)
        data = b"".join(ports.objects.read(blob_key(one.sha256)))
        found[one.sha256] = read_package(data, filename=f"{one.package_id}.{one.version}.zip").raw
    return found


def write(ports: Ports, work: Work, *, inbox: InboxBundle, verified: VerifiedBundle, manifests: Manifests) -> Release:
    """The rows of the import; a release that is here with the same digest is returned as it is.

    Raises:
        ConflictError: release.conflict, the version is here with other content. TrustError: secret.decrypt_failed.
    """
    project = _project(ports, work, inbox)
    known = work.of(Release).first(project_id=project.id, release_version=verified.release.version)
    if known is not None:
        if known.release_sha256 != verified.release_sha256:
            raise ConflictError("release.conflict", "the version is here with other content", field="version", found=known.release_version)
        _answers(ports, work, inbox, verified, project)
        return known
    doc = verified.release
    release = Release(
        id=ids.fresh(ports, "rel"),
        space_id=work.space_id,
        project_id=project.id,
        release_id=doc.release_id,
        release_version=doc.version,
        channel=doc.channel_name,
        notes=doc.notes,
        frozen_at=doc.frozen_at,
        release_sha256=verified.release_sha256,
        document_sha256=inbox.release_document,
        created_by=verified.delivery.sender.name,
        delivery_sha256=inbox.bundle_sha256,
        trust_id=inbox.trust_id,
        environment_map=template_needs.match_environments(work, verified.delivery),
    )
    release = work.of(Release).add(release)
    _snapshot(ports, work, verified, release)
    _packages(ports, work, verified.release, inbox, manifests)
    _answers(ports, work, inbox, verified, project)
    return release


def missing_names(ports: Ports, work: Work, *, project: Project, release: Release) -> tuple[str, ...]:
    """Names of the mandatory templates that still lack a value in an environment of the project's lifecycle, sorted."""
    document = releases.read_doc(ports, work, release)
    values = held_values.held_values(work, project=project, release=release, doc=document)
    lifecycle = template_needs.lifecycle_of(work, project)
    places = (Place(environment=one, tenant=None, channel=release.channel) for one in template_needs.own_environments(work, lifecycle))
    return tuple(sorted({one.name for place in places for one in missing_at(values, place)}))


def _project(ports: Ports, work: Work, inbox: InboxBundle) -> Project:
    """The remote project of this owner and id; its name follows the owner's, its identity is the id (A67)."""
    found = work.of(Project).first(owner_space_id=inbox.owner_space_id, remote_project_id=inbox.remote_project_id)
    if found is None:
        name = f"{inbox.owner_name} {inbox.project_name}"
        return work.of(Project).add(
            Project(
                id=ids.fresh(ports, "prj"),
                space_id=work.space_id,
                slug=free_slug(name, {row.slug for row in work.of(Project).where()}),
                name=inbox.project_name,
                lifecycle_id=inbox.lifecycle_id,
                owner_space_id=inbox.owner_space_id,
                owner_name=inbox.owner_name,
                remote_project_id=inbox.remote_project_id,
                trust_id=inbox.trust_id,
                created_at=ports.clock.now(),
            )
        )
    changed = replace(found, name=inbox.project_name, owner_name=inbox.owner_name, lifecycle_id=inbox.lifecycle_id or found.lifecycle_id)
    return found if changed == found else work.of(Project).replace(changed)


def _snapshot(ports: Ports, work: Work, verified: VerifiedBundle, release: Release) -> None:
    """One row per value and template, as the owner's own snapshot has them; scopes stay in the sender's ids."""
    delivered = {one.variable_id for one in verified.delivery.values}
    keys = {one.sha256: one.private for one in identity.encryption_keys(ports, work)}
    private = keys.get(verified.delivery.target.enc_key_sha256)
    for one in verified.delivery.values:
        row_id = ids.fresh(ports, "snp")
        work.of(SnapshotValue).add(
            SnapshotValue(
                id=row_id,
                space_id=work.space_id,
                release_row_id=release.id,
                variable_id=one.variable_id,
                name=one.name,
                type=one.type,
                scope=one.scope,
                value=one.value,
                sealed=None if one.sealed is None else _reseal(ports, verified, one, private, row_id, work.space_id),
                template=one.template,
            )
        )
    for variable in verified.release.variables:
        if variable.id not in delivered and not variable.sensitive:
            work.of(SnapshotValue).add(
                SnapshotValue(
                    id=ids.fresh(ports, "snp"),
                    space_id=work.space_id,
                    release_row_id=release.id,
                    variable_id=variable.id,
                    name=variable.name,
                    type=variable.type,
                    scope=variable.scope,
                    value=variable.value,
                    template=variable.template,
                )
            )


def _reseal(ports: Ports, verified: VerifiedBundle, one: DeliveryValue, private: bytes | None, row_id: str, space_id: str) -> bytes:
    if one.sealed is None or private is None:
        raise TrustError("secret.decrypt_failed", "A sealed value does not open")
    context = seal.context_of(verified.delivery, variable_id=one.variable_id, name=one.name, scope=one.scope)
    plain = seal.open_value(one.sealed, private_key=private, context=context)
    try:
        text = plain.decode("utf-8")
    except UnicodeDecodeError:
        # The cause is dropped: a decoding error carries the bytes.
        raise TrustError("secret.decrypt_failed", "A sealed value does not open") from None
    return secrets.seal_snapshot(ports, text, row_id=row_id, space_id=space_id)


def _packages(ports: Ports, work: Work, release: ReleaseDoc, inbox: InboxBundle, manifests: Manifests) -> None:
    """What came along can be found by its name; a name that is taken by other bytes stays as it is, deployments go by the digest."""
    now = ports.clock.now()
    for one in release.packages:
        if work.of(Package).first(package_id=one.package_id, package_version=one.version) is None:
            work.of(Package).add(
                Package(
                    id=ids.fresh(ports, "pkg"),
                    space_id=work.space_id,
                    package_id=one.package_id,
                    package_version=one.version,
                    size_bytes=one.size_bytes,
                    sha256=one.sha256,
                    media_type=one.media_type,
                    filename=one.filename,
                    origin="bundle",
                    created_at=now,
                    trust_id=inbox.trust_id,
                )
            )
    for step in release.step_packages:
        if work.of(StepPackage).first(package_id=step.package_id, package_version=step.version) is None:
            work.of(StepPackage).add(
                StepPackage(
                    id=ids.fresh(ports, "stp"),
                    space_id=work.space_id,
                    package_id=step.package_id,
                    package_version=step.version,
                    size_bytes=step.size_bytes,
                    sha256=step.sha256,
                    manifest=manifests[step.sha256],
                    origin="bundle",
                    created_at=now,
                    trust_id=inbox.trust_id,
                )
            )


def _answers(ports: Ports, work: Work, inbox: InboxBundle, verified: VerifiedBundle, project: Project) -> None:
    """Every answer is a value of the remote project now; one for the same name and scope is replaced."""
    values = template_needs.bundle_values(work, project=None, inbox=inbox, delivery=verified.delivery, release=verified.release)
    templates = {one.variable_id: one for one in values if one.template is not None}
    for answer in work.of(Answer).where(inbox_id=inbox.id):
        template = templates.get(answer.variable_id)
        if template is None:
            continue
        scope = Scope(environments=(answer.environment_id,), tenants=(answer.tenant_id,) if answer.tenant_id else ())
        known = next((row for row in work.of(Variable).where(project_id=project.id, name=template.name) if row.scope == scope), None)
        row_id = ids.fresh(ports, "var") if known is None else known.id
        row = Variable(
            id=row_id,
            space_id=work.space_id,
            project_id=project.id,
            name=template.name,
            type=template.type,
            scope=scope,
            value=answer.value,
            sealed=None if answer.sealed is None else _rewrap(ports, answer, answer.sealed, row_id),
            origin="answer",
            revision=1 if known is None else known.revision,
        )
        if known is None:
            work.of(Variable).add(row)
        else:
            work.of(Variable).replace(row)


def _rewrap(ports: Ports, answer: Answer, sealed: bytes, row_id: str) -> bytes:
    text = secrets.open_local(ports, sealed, table=ANSWERS, column="sealed", row_id=answer.id, space_id=answer.space_id)
    return secrets.seal_variable(ports, text, row_id=row_id, space_id=answer.space_id)
