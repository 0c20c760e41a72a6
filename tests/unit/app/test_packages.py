# SPDX-License-Identifier: Apache-2.0
"""Uploads: granted, resumed, verified; and what is refused on the way."""

import hashlib
from dataclasses import replace

import pytest

from tests.simulators.site import make_site
from tests.simulators.spaces import Home, make_home, step_package
from waybill.app import packages
from waybill.app.access import SYSTEM
from waybill.app.packages import UploadGrant
from waybill.domain.access import AccessGrant, Caller
from waybill.domain.packages import Blob, Package, StepPackage, Upload
from waybill.errors import ConflictError, FormatError, NotFoundError, PolicyError, WaybillError
from waybill.formats.layout import blob_key
from waybill.ports import SITE

DATA = bytes(range(256)) * 10


@pytest.fixture
def home() -> Home:
    """A Space on a site whose parts are 1000 bytes."""
    site = make_site()
    site.ports = replace(site.ports, site=replace(site.ports.site, part_size_bytes=1000))
    return make_home("DevTest", site=site)


def begin(home: Home, data: bytes = DATA, version: str = "1.0.0", **changed: object) -> UploadGrant:
    """An upload of a package begun."""
    wanted: dict[str, object] = {
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "package_id": "@acme/web",
        "version": version,
        "filename": "web.tgz",
        **changed,
    }
    return packages.begin_upload(home.ports, SYSTEM, space_id=home.space_id, **wanted)  # type: ignore[arg-type] # told by the tests


def put(home: Home, grant: UploadGrant, data: bytes, *, only: tuple[int, ...] = ()) -> str:
    """The granted parts put; returns the upload's id."""
    assert grant.upload is not None
    for part in grant.parts:
        if not only or part.number in only:
            piece = data[part.offset : part.offset + part.size_bytes]
            home.site.objects.put_part(blob_key(grant.upload.sha256), grant.upload.multipart_id, part.number, piece)
    return grant.upload.id


def verify(home: Home, upload_id: str) -> None:
    """The upload completed and verified."""
    packages.complete_upload(home.ports, SYSTEM, space_id=home.space_id, upload_id=upload_id)
    packages.verify_upload(home.ports, space_id=home.space_id, upload_id=upload_id, on_bytes=lambda _total: None)


def test_an_upload_becomes_a_package_after_it_was_read_back(home: Home) -> None:
    """Parts, task, blob and row; verifying again changes nothing; the same bytes again need no upload."""
    grant = begin(home)
    assert [(part.number, part.offset, part.size_bytes) for part in grant.parts] == [(1, 0, 1000), (2, 1000, 1000), (3, 2000, 560)]
    upload_id = put(home, grant, DATA)
    task = packages.complete_upload(home.ports, SYSTEM, space_id=home.space_id, upload_id=upload_id)
    assert (task.workflow_id, task.story, task.story_input["upload_id"]) == (f"verify:{upload_id}", "VerifyUpload", upload_id)
    assert packages.complete_upload(home.ports, SYSTEM, space_id=home.space_id, upload_id=upload_id) == task
    assert task.workflow_id in home.site.engine.started
    for _ in range(2):
        packages.verify_upload(home.ports, space_id=home.space_id, upload_id=upload_id, on_bytes=lambda _total: None)
    found = packages.get_package(home.ports, SYSTEM, space_id=home.space_id, package_id="@acme/web", version="1.0.0")
    assert (found.sha256, found.size_bytes, found.origin) == (hashlib.sha256(DATA).hexdigest(), len(DATA), "pushed")
    again = begin(home)
    assert (again.existing, again.parts) == (found, ())
    other = begin(home, version="1.0.1")
    assert isinstance(other.existing, Package)
    assert (other.existing.package_version, other.upload) == ("1.0.1", None)
    assert len(packages.list_packages(home.ports, SYSTEM, space_id=home.space_id).items) == 2
    with pytest.raises(ConflictError):
        packages.renew_upload(home.ports, SYSTEM, space_id=home.space_id, upload_id=upload_id)


def test_an_interrupted_upload_goes_on_from_what_the_store_confirmed(home: Home) -> None:
    """Beginning again gives the same upload and only the parts that are missing; completing early names them."""
    upload_id = put(home, begin(home), DATA, only=(2,))
    with pytest.raises(ConflictError) as early:
        packages.complete_upload(home.ports, SYSTEM, space_id=home.space_id, upload_id=upload_id)
    assert (early.value.code, early.value.found) == ("upload.incomplete", "1, 3")
    again = begin(home)
    assert again.upload is not None
    assert (again.upload.id, again.confirmed, [part.number for part in again.parts]) == (upload_id, (2,), [1, 3])
    put(home, again, DATA)
    assert packages.renew_upload(home.ports, SYSTEM, space_id=home.space_id, upload_id=upload_id).parts == ()
    verify(home, upload_id)


def test_an_upload_that_the_store_swept_away_begins_anew(home: Home) -> None:
    """The id stays, the store's own upload is another."""
    grant = begin(home)
    assert grant.upload is not None
    home.site.objects.abort_multipart(blob_key(grant.upload.sha256), grant.upload.multipart_id)
    again = begin(home)
    assert again.upload is not None
    assert again.upload.id == grant.upload.id
    assert again.upload.multipart_id != grant.upload.multipart_id
    verify(home, put(home, again, DATA))


def test_other_bytes_than_announced_are_deleted(home: Home) -> None:
    """Security.md row 54: the object is gone, no blob and no package exist."""
    wrong = b"x" + DATA[1:]
    upload_id = put(home, begin(home), wrong)
    with pytest.raises(ConflictError) as caught:
        verify(home, upload_id)
    assert caught.value.code == "package.hash_mismatch"
    assert home.site.objects.exists(blob_key(hashlib.sha256(DATA).hexdigest())) is None
    with home.ports.ledger.read(SITE) as work:
        assert work.of(Blob).count() == 0
    with pytest.raises(NotFoundError):
        packages.get_package(home.ports, SYSTEM, space_id=home.space_id, package_id="@acme/web", version="1.0.0")


def test_a_version_never_has_two_contents(home: Home) -> None:
    """A51: the same id and version with other bytes is a conflict, also between two open uploads."""
    first, second = begin(home), begin(home, b"other")
    verify(home, put(home, first, DATA))
    with pytest.raises(ConflictError) as begun:
        begin(home, b"third")
    assert begun.value.code == "package.conflict"
    with pytest.raises(ConflictError) as late:
        verify(home, put(home, second, b"other"))
    assert late.value.code == "package.conflict"


WRONG: list[tuple[dict[str, object], str]] = [
    ({"package_id": "../x"}, "package.coordinate_invalid"),
    ({"version": "1/2"}, "package.coordinate_invalid"),
    ({"sha256": "A" * 64}, "package.digest_unsupported"),
    ({"size_bytes": -1}, "limit.exceeded"),
    ({"size_bytes": 2**60}, "limit.exceeded"),
    ({"filename": "a/b"}, "request.invalid"),
    ({"filename": ""}, "request.invalid"),
    ({"filename": 'a"b'}, "request.invalid"),
    ({"media_type": "x\n/y"}, "request.invalid"),
    ({"purpose": "peer"}, "request.invalid"),
]


@pytest.mark.parametrize(("changed", "code"), WRONG)
def test_a_wrong_announcement_is_refused_before_anything_is_opened(home: Home, changed: dict[str, object], code: str) -> None:
    """No row and no multipart upload is left."""
    with pytest.raises(WaybillError) as caught:
        begin(home, **changed)  # type: ignore[arg-type] # the table is typed by hand
    assert caught.value.code == code
    with home.ports.ledger.read(home.space_id) as work:
        assert work.of(Upload).count() == 0


def test_an_empty_file_is_a_package(home: Home) -> None:
    """Zero bytes have one empty part."""
    verify(home, put(home, begin(home, b""), b""))


def test_a_step_package_is_read_and_registered_or_refused(home: Home) -> None:
    """The manifest and the schema are kept; bytes that are no step package register nothing; other bytes of a version conflict."""
    good = step_package()
    home._upload(good, purpose="step_package", filename="run-script.1.0.0.zip")
    (row,) = packages.list_step_packages(home.ports, SYSTEM, space_id=home.space_id)
    assert (row.package_id, row.package_version, row.manifest["launcher"]) == ("run-script", "1.0.0", "node")
    assert "properties" in row.inputs_schema
    with pytest.raises(FormatError) as bad:
        home._upload(b"no zip", purpose="step_package", filename="x.zip")
    assert bad.value.code == "step.package_invalid"
    with pytest.raises(ConflictError) as other:
        home._upload(good + b"\0", purpose="step_package", filename="run-script.1.0.0.zip")
    assert other.value.code in {"package.conflict", "step.package_invalid"}
    with home.ports.ledger.read(home.space_id) as work:
        assert work.of(StepPackage).count() == 1


def test_another_spaces_bytes_are_not_given_away(home: Home) -> None:
    """Knowing a digest is not having the bytes: a Space that never held them must upload them."""
    verify(home, put(home, begin(home), DATA))
    other = make_home("Other", site=home.site)
    assert begin(other).upload is not None


def test_uploading_needs_the_right(home: Home) -> None:
    """Each purpose has its own permission; a stranger's upload id is absent."""
    reader = Caller(id="r", name="r", kind="person", grants=(AccessGrant(space_id=home.space_id, permissions=("package.push",)),))
    with pytest.raises(PolicyError) as denied:
        packages.begin_upload(home.ports, reader, space_id=home.space_id, size_bytes=1, sha256="0" * 64, purpose="step_package")
    assert denied.value.expected == "step.install"
    grant = begin(home)
    other = make_home("Other", site=home.site)
    assert grant.upload is not None
    with pytest.raises(NotFoundError):
        packages.renew_upload(home.ports, SYSTEM, space_id=other.space_id, upload_id=grant.upload.id)
