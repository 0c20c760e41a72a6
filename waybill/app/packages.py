# SPDX-License-Identifier: Apache-2.0
"""Packages and step packages: uploaded in granted parts, re-read, hashed, and only then there.

Refused: an id and version that exist with other bytes, a digest that is not SHA-256, bytes that are not the announced ones.
That another Space holds the same bytes is never told: only bytes of this Space's own packages need no upload.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from waybill.app import access, blobs, ids, tasks, upload_proof
from waybill.domain.access import Caller, Permission
from waybill.domain.coordinates import check_package_id, check_package_version, check_sha256, version_key
from waybill.domain.packages import Package, StepPackage, Upload
from waybill.domain.tasks import Task
from waybill.errors import ConflictError, FormatError, NotFoundError
from waybill.formats.layout import blob_key, part_ranges, part_size_bytes
from waybill.ports import Page, PartGrant, Ports, Work
from waybill.steps import manifest

PURPOSES: Final = ("package", "step_package", "carrier")
GRANT_SECONDS: Final = 3600
MAX_GRANTS: Final = 500
"""Part URLs in one grant; for more parts, put these, then ask for the next with ``renew_upload``."""

MAX_FILENAME: Final = 255
_RIGHTS: Final = {"package": Permission.PACKAGE_PUSH, "step_package": Permission.STEP_INSTALL, "carrier": Permission.CARRIER_MOVE}


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadGrant:
    """What the uploader does next: nothing when ``existing`` is set, else put ``parts``, ask again while parts are left, then complete.

    ``confirmed`` are the numbers of the parts that the store holds already; ``parts`` are at most ``MAX_GRANTS`` of the others.
    """

    upload: Upload | None
    existing: Package | StepPackage | None
    parts: tuple[PartGrant, ...]
    confirmed: tuple[int, ...]


def begin_upload(
    ports: Ports,
    caller: Caller,
    *,
    space_id: str,
    size_bytes: int,
    sha256: str,
    purpose: str = "package",
    package_id: str = "",
    version: str = "",
    filename: str = "",
    media_type: str = "application/octet-stream",
) -> UploadGrant:
    """Permission to upload exactly these bytes; repeating it goes on with the open upload.

    Args:
        purpose: ``package`` | ``step_package`` | ``carrier``; only a package needs id, version and filename.
        size_bytes: of the whole file, at most the site's ``max_package_bytes``.
    Raises:
        ConflictError: package.conflict, when the id and version exist with other bytes.
        FormatError: package.coordinate_invalid, package.digest_unsupported, request.invalid, limit.exceeded.
    """
    if purpose not in PURPOSES:
        raise FormatError(
            "request.invalid", "that is nothing to upload for", field="purpose", expected=" | ".join(PURPOSES), found=purpose[:40]
        )
    access.require(caller, space_id, _RIGHTS[purpose])
    check_sha256(sha256)
    most = manifest.MAX_PACKED_BYTES if purpose == "step_package" else ports.site.max_package_bytes
    if not 0 <= size_bytes <= most:
        raise FormatError("limit.exceeded", "the file is too large", field="size_bytes", expected=f"0 to {most} bytes", found=size_bytes)
    wanted = Upload(
        id=ids.fresh(ports, "upl"),
        space_id=space_id,
        sha256=sha256,
        size_bytes=size_bytes,
        part_size_bytes=part_size_bytes(size_bytes, smallest=ports.site.part_size_bytes),
        purpose=purpose,
        multipart_id="",
        created_at=ports.clock.now(),
        created_by=caller.name,
        package_id=package_id,
        package_version=version,
        filename=filename,
        media_type=media_type,
    )
    if purpose == "package":
        _check_package(wanted)
    with ports.ledger.read(space_id) as work:
        existing = _existing(work, wanted)
        open_upload = None if existing else _open_upload(work, wanted)
        is_held = existing is None and work.of(Package).first(sha256=sha256, size_bytes=size_bytes) is not None
    if existing is not None:
        return UploadGrant(upload=None, existing=existing, parts=(), confirmed=())
    if is_held and purpose == "package" and blobs.find_blob(ports, sha256) is not None:
        with ports.ledger.write(space_id) as work:
            return UploadGrant(upload=None, existing=_register_package(ports, work, wanted, actor=caller.name), parts=(), confirmed=())
    return _grant(ports, open_upload or _open(ports, caller, wanted))


def renew_upload(ports: Ports, caller: Caller, *, space_id: str, upload_id: str) -> UploadGrant:
    """Fresh URLs for parts that the store has not confirmed; none are left when ``parts`` is empty.

    Raises:
        NotFoundError: record.absent. ConflictError: task.finished, when the upload was completed.
    """
    upload = _own_upload(ports, caller, space_id, upload_id)
    if upload.completed_at is not None:
        raise ConflictError("task.finished", "the upload was completed already", field="upload", found=upload_id)
    return _grant(ports, upload)


def complete_upload(ports: Ports, caller: Caller, *, space_id: str, upload_id: str) -> Task:
    """The task that re-reads and hashes the upload; asked again, the same task.

    Raises:
        ConflictError: upload.incomplete, with the numbers of the first missing parts.
    """
    upload = _own_upload(ports, caller, space_id, upload_id)
    workflow_id = f"verify:{upload.id}"
    with ports.ledger.read(space_id) as work:
        known = work.of(Task).first(workflow_id=workflow_id)
    if known is None:
        missing = _missing_parts(ports, upload)
        if missing:
            shown = ", ".join(str(number) for number in missing[:20])
            raise ConflictError("upload.incomplete", f"{len(missing)} parts are missing", field="parts", expected="all parts", found=shown)
        with ports.ledger.write(space_id) as work:
            known = work.of(Task).first(workflow_id=workflow_id) or tasks.create(
                ports,
                work,
                kind="verify_upload",
                title=f"Verify {upload.package_id or upload.filename or upload.purpose} {upload.package_version}".strip(),
                subject_id=upload.id,
                story="VerifyUpload",
                workflow_id=workflow_id,
                story_input={"upload_id": upload.id},
                created_by=caller.name,
            )
    tasks.start(ports, known)
    return known


def verify_upload(ports: Ports, *, space_id: str, upload_id: str, on_bytes: Callable[[int], None]) -> None:
    """The upload is joined, re-read, hashed, and has become a Blob and what it was for; repeating it changes nothing.

    Args:
        on_bytes: hears how many bytes were read back so far.
    Raises:
        ConflictError: package.hash_mismatch, package.size_exceeded, after the object is gone; package.conflict.
        FormatError: step.package_invalid.
    """
    with ports.ledger.read(space_id) as work:
        upload = work.of(Upload).get(upload_id)
    if upload.completed_at is None:
        _verify(ports, upload, on_bytes=on_bytes)
    upload_proof.drop(ports, upload)


def list_packages(
    ports: Ports, caller: Caller, *, space_id: str, package_id: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page:
    """One page of packages, newest first, of one id where given."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        if package_id is not None:
            return work.of(Package).page(limit=limit, cursor=cursor, package_id=package_id)
        return work.of(Package).page(limit=limit, cursor=cursor)


def get_package(ports: Ports, caller: Caller, *, space_id: str, package_id: str, version: str) -> Package:
    """One package by id and version. Raises NotFoundError record.absent."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        found = work.of(Package).first(package_id=package_id, package_version=version)
    if found is None:
        raise NotFoundError("record.absent", "there is no such package here", field="package", found=f"{package_id} {version}"[:200])
    return found


def list_step_packages(ports: Ports, caller: Caller, *, space_id: str) -> list[StepPackage]:
    """All registered step packages, by id, newest version first."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        newest_first = sorted(work.of(StepPackage).where(), key=lambda row: version_key(row.package_version), reverse=True)
    return sorted(newest_first, key=lambda row: row.package_id)


def _verify(ports: Ports, upload: Upload, *, on_bytes: Callable[[int], None]) -> None:
    upload_proof.prove(ports, upload, on_bytes=on_bytes)
    read = _read_step(ports, upload) if upload.purpose == "step_package" else None
    with ports.ledger.write(upload.space_id) as work:
        current = work.of(Upload).get(upload.id)
        if current.completed_at is not None:
            return
        if read is not None:
            _register_step(ports, work, upload, read)
        elif upload.purpose == "package" and _existing(work, upload) is None:
            _register_package(ports, work, upload, actor=upload.created_by)
        work.of(Upload).replace(replace(current, completed_at=ports.clock.now()))


def _check_package(upload: Upload) -> None:
    check_package_id(upload.package_id)
    check_package_version(upload.package_version)
    name = upload.filename
    if not 1 <= len(name) <= MAX_FILENAME or name in (".", "..") or not name.isprintable() or set(name) & set('/\\"'):
        raise FormatError(
            "request.invalid", "that is not a file name", field="filename", expected="a name without a path", found=ascii(name[:60])
        )
    media_type = upload.media_type
    if not media_type.isascii() or not media_type.isprintable() or "/" not in media_type or len(media_type) > 200:
        raise FormatError(
            "request.invalid", "that is not a media type", field="media_type", expected="type/subtype", found=ascii(media_type[:60])
        )


def _existing(work: Work, wanted: Upload) -> Package | StepPackage | None:
    """What is there already with these bytes. Raises ConflictError package.conflict for other bytes under the same name."""
    if wanted.purpose == "step_package":
        return work.of(StepPackage).first(sha256=wanted.sha256)
    if wanted.purpose != "package":
        return None
    found = work.of(Package).first(package_id=wanted.package_id, package_version=wanted.package_version)
    if found is not None and (found.sha256, found.size_bytes) != (wanted.sha256, wanted.size_bytes):
        raise _conflict(wanted.package_id, wanted.package_version, found.sha256, wanted.sha256)
    return found


def _open_upload(work: Work, wanted: Upload) -> Upload | None:
    """The unfinished upload of the same thing, or None."""
    for row in work.of(Upload).where(sha256=wanted.sha256, purpose=wanted.purpose):
        same = (row.size_bytes, row.package_id, row.package_version) == (wanted.size_bytes, wanted.package_id, wanted.package_version)
        if same and row.completed_at is None and work.of(Task).first(workflow_id=f"verify:{row.id}") is None:
            return row
    return None


def _open(ports: Ports, caller: Caller, wanted: Upload) -> Upload:
    upload = replace(wanted, multipart_id=ports.objects.begin_multipart(upload_proof.key_of(ports, wanted)))
    with ports.ledger.write(upload.space_id) as work:
        work.audit(at=upload.created_at, actor=caller.name, action="upload.begun", subject=upload.id, detail=upload.sha256)
        return work.of(Upload).add(upload)


def _own_upload(ports: Ports, caller: Caller, space_id: str, upload_id: str) -> Upload:
    """The upload, if it is one that people make. Raises NotFoundError record.absent; PolicyError authz.denied."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        upload = work.of(Upload).get(upload_id)
    if upload.purpose not in _RIGHTS:
        raise NotFoundError("record.absent", "there is no such upload here", field="upload", found=upload_id[:60])
    access.require(caller, space_id, _RIGHTS[upload.purpose])
    return upload


def _grant(ports: Ports, upload: Upload) -> UploadGrant:
    key = upload_proof.key_of(ports, upload)
    try:
        confirmed = ports.objects.confirmed_parts(key, upload.multipart_id)
    except NotFoundError:
        # The store has swept the upload away: it begins anew under the same id.
        multipart_id = ports.objects.begin_multipart(key)
        with ports.ledger.write(upload.space_id) as work:
            upload = work.of(Upload).replace(replace(work.of(Upload).get(upload.id), multipart_id=multipart_id))
        confirmed = {}
    ranges = part_ranges(upload.size_bytes, part_size=upload.part_size_bytes)
    left = [part for part in ranges if confirmed.get(part.number) != part.size_bytes]
    grants = tuple(
        PartGrant(
            number=part.number,
            offset=part.offset,
            size_bytes=part.size_bytes,
            url=ports.objects.grant_part(key, upload.multipart_id, part.number, seconds=GRANT_SECONDS),
        )
        for part in left[:MAX_GRANTS]
    )
    waiting = {part.number for part in left}
    return UploadGrant(
        upload=upload, existing=None, parts=grants, confirmed=tuple(part.number for part in ranges if part.number not in waiting)
    )


def _missing_parts(ports: Ports, upload: Upload) -> list[int]:
    try:
        confirmed = ports.objects.confirmed_parts(upload_proof.key_of(ports, upload), upload.multipart_id)
    except NotFoundError:
        confirmed = {}
    ranges = part_ranges(upload.size_bytes, part_size=upload.part_size_bytes)
    return [part.number for part in ranges if confirmed.get(part.number) != part.size_bytes]


def _read_step(ports: Ports, upload: Upload) -> manifest.StepPackageManifest:
    data = b"".join(ports.objects.read(blob_key(upload.sha256)))
    return manifest.read_package(data, filename=upload.filename or None)


def _register_step(ports: Ports, work: Work, upload: Upload, read: manifest.StepPackageManifest) -> StepPackage:
    found = work.of(StepPackage).first(package_id=read.id, package_version=read.version)
    if found is not None:
        if found.sha256 != upload.sha256:
            raise _conflict(read.id, read.version, found.sha256, upload.sha256)
        return found
    row = StepPackage(
        id=ids.fresh(ports, "stp"),
        space_id=upload.space_id,
        package_id=read.id,
        package_version=read.version,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
        manifest=read.raw,
        inputs_schema=read.inputs_schema,
        origin="pushed",
        created_at=ports.clock.now(),
    )
    work.audit(
        at=row.created_at, actor=upload.created_by, action="step_package.installed", subject=row.id, detail=f"{read.id} {read.version}"
    )
    return work.of(StepPackage).add(row)


def _register_package(ports: Ports, work: Work, upload: Upload, *, actor: str) -> Package:
    row = Package(
        id=ids.fresh(ports, "pkg"),
        space_id=upload.space_id,
        package_id=upload.package_id,
        package_version=upload.package_version,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
        media_type=upload.media_type,
        filename=upload.filename,
        origin="pushed",
        created_at=ports.clock.now(),
    )
    detail = f"{row.package_id} {row.package_version} {row.sha256}"
    work.audit(at=row.created_at, actor=actor, action="package.pushed", subject=row.id, detail=detail)
    return work.of(Package).add(row)


def _conflict(package_id: str, version: str, found: str, expected: str) -> ConflictError:
    message = f"{package_id} {version} exists with other bytes"
    return ConflictError("package.conflict", message, field="sha256", expected=found, found=expected)
