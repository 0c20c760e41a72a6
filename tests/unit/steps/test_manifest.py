# SPDX-License-Identifier: Apache-2.0
"""Step packages are read whole or refused with the file that is wrong."""

import contextlib
import hashlib
import io
import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.domain.ids import JsonValue
from waybill.errors import FormatError
from waybill.steps.manifest import MAX_FILES, read_package

METADATA: dict[str, JsonValue] = {
    "schemaVersion": "1.1.0", "type": "step", "id": "hello-world", "version": "1.2.3", "name": "Hello", "description": "Says hello",
    "categories": ["Other"], "launcher": "node", "idempotent": True, "timeouts": {"defaultSeconds": 60, "maxSeconds": 120},
    "permissions": {"network": "none", "childProcess": False, "tools": ["bash"]}, "outputs": {"Greeting": {"description": "What it said", "sensitive": True}},
}  # fmt: skip


def _files(**changes: JsonValue) -> dict[str, bytes]:
    metadata = {name: value for name, value in {**METADATA, **changes}.items() if value != "absent"}
    return {"metadata.json": json.dumps(metadata).encode(), "inputs.json": b'{"type":"object"}', "executor.js": b"module.exports = 1"}


def _zip(entries: list[tuple[str | zipfile.ZipInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def _package(files: dict[str, bytes]) -> bytes:
    return _zip(list(files.items()))


def _contents(files: dict[str, bytes]) -> bytes:
    return json.dumps({name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}).encode()


def test_a_package_of_ours_is_read() -> None:
    """Every declaration arrives, and every file is named with its hash."""
    files = _files()
    manifest = read_package(_package({**files, "contents.json": _contents(files)}))
    assert (manifest.id, manifest.version, manifest.idempotent) == ("hello-world", "1.2.3", True)
    assert (manifest.timeouts.default_seconds, manifest.timeouts.max_seconds) == (60, 120)
    assert (manifest.permissions.network, manifest.permissions.tools, manifest.permissions.declared) == ("none", ("bash",), True)
    assert [(each.name, each.sensitive, each.type) for each in manifest.outputs] == [("Greeting", True, "string")]
    assert manifest.inputs_schema == {"type": "object"}
    assert manifest.raw == METADATA
    assert manifest.file_sha256s["executor.js"] == hashlib.sha256(b"module.exports = 1").hexdigest()


def test_an_octopus_package_is_read_with_the_published_defaults() -> None:
    """Without version, apiVersions, permissions and contents.json, with unknown members: readable, and never idempotent."""
    absent: dict[str, JsonValue] = dict.fromkeys(["version", "idempotent", "timeouts", "permissions", "outputs"], "absent")
    files = _files(**absent, schemaVersion="1.0.0", stepBasedVariableNameForAccountIds=["x"])
    manifest = read_package(_package(files), filename="hello-world.2.0.1.zip")
    assert (manifest.version, manifest.idempotent, manifest.permissions.declared) == ("2.0.1", False, False)
    assert manifest.api_versions["Execution"] == "1.0.0"
    assert "stepBasedVariableNameForAccountIds" in manifest.raw
    with pytest.raises(FormatError):
        read_package(_package(files))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "Hello World"}, "metadata.json/id"),
        ({"id": "a" * 101}, "metadata.json/id"),
        ({"id": "hello\n"}, "metadata.json/id"),
        ({"version": "1.2"}, "metadata.json/version"),
        ({"version": "../../x"}, "metadata.json/version"),
        ({"version": 1}, "metadata.json/version"),
        ({"schemaVersion": "2.0.0"}, "metadata.json/schemaVersion"),
        ({"launcher": "python"}, "metadata.json/launcher"),
        ({"type": "plugin"}, "metadata.json/type"),
        ({"name": "absent"}, "metadata.json/name"),
        ({"categories": "Other"}, "metadata.json/categories"),
        ({"idempotent": "yes"}, "metadata.json/idempotent"),
        ({"timeouts": {"maxSeconds": 0}}, "metadata.json/timeouts/maxSeconds"),
        ({"timeouts": {"defaultSeconds": 9, "maxSeconds": 8}}, "metadata.json/timeouts/defaultSeconds"),
        ({"permissions": {"network": "all"}}, "metadata.json/permissions/network"),
        ({"outputs": {"a b": {}}}, "metadata.json/outputs/a b"),
        ({"outputs": []}, "metadata.json/outputs"),
        ({"apiVersions": {"Execution": 1}}, "metadata.json/apiVersions/Execution"),
    ],
)
def test_wrong_metadata_is_refused_by_name(changes: dict[str, JsonValue], field: str) -> None:
    """Each wrong member is named by file and pointer."""
    with pytest.raises(FormatError) as refused:
        read_package(_package(_files(**changes)))
    assert (refused.value.code, refused.value.field) == ("step.package_invalid", field)


def _info(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    "extra",
    [
        [("/etc/passwd", b"x")],
        [("../evil.js", b"x")],
        [("lib/inner.js", b"x")],
        [("a\\b.js", b"x")],
        [("lib/", b"")],
        [(".hidden", b"x")],
        [("nul_0_name", b"x")],
        [(_info("link", 0o120777), b"/etc/passwd")],
        [(_info("device", 0o020666), b"")],
        [("Executor.js", b"x")],
        [(f"f{number}.js", b"") for number in range(MAX_FILES)],
        [("bomb.js", b"\0" * 30_000_000)],
    ],
    ids=["absolute", "parent", "nested", "backslash", "folder", "hidden", "nul", "link", "device", "case", "many", "bomb"],
)
def test_a_dangerous_zip_is_refused(extra: list[tuple[str | zipfile.ZipInfo, bytes]]) -> None:
    """Names that leave the folder, links, devices, doubles, too many files and bombs."""
    with pytest.raises(FormatError) as refused:
        read_package(_zip([*_files().items(), *extra]).replace(b"nul_0_name", b"nul_\0_name"))
    assert refused.value.code == "step.package_invalid"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_twice_is_refused() -> None:
    """The same name twice is refused, whichever of both would win."""
    with pytest.raises(FormatError):
        read_package(_zip([*_files().items(), ("executor.js", b"other")]))


def test_files_must_be_those_of_the_file_list() -> None:
    """A changed, missing or additional file does not fit contents.json."""
    files = _files()
    listed = _contents(files)
    for changed in ({**files, "executor.js": b"other"}, {**files, "more.js": b"x"}):
        with pytest.raises(FormatError):
            read_package(_package({**changed, "contents.json": listed}))
    with pytest.raises(FormatError) as refused:
        read_package(_package({"metadata.json": files["metadata.json"], "inputs.json": b"{}"}))
    assert refused.value.field == "executor.js"
    for broken in (b"[]", b'{"a":1,"a":2}', b"\xff", b'{"a":NaN}', b"[" * 100_000):
        with pytest.raises(FormatError):
            read_package(_package({**files, "inputs.json": broken}))


@given(st.binary(max_size=300), st.integers(0, 2000), st.integers(1, 255))
def test_damaged_bytes_are_refused_and_nothing_else_is_raised(data: bytes, at: int, change: int) -> None:
    """No bytes raise anything but FormatError; one changed byte is refused or changes nothing that counts."""
    with pytest.raises(FormatError):
        read_package(data)
    files = _files()
    whole = bytearray(_package({**files, "contents.json": _contents(files)}))
    whole[at % len(whole)] ^= change
    with contextlib.suppress(FormatError):
        assert read_package(bytes(whole)).raw == METADATA
