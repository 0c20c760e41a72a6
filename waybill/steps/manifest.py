# SPDX-License-Identifier: Apache-2.0
"""Step packages as bytes: a flat zip with ``metadata.json``, ``inputs.json``, ``executor.js`` and, in ours, ``contents.json``.

A genuine Octopus step package reads too: what it lacks gets the published defaults, and members that are unknown stay in ``raw``.
Nothing here runs code of a package, and nothing is unpacked to disk (adapters/step_cache.py does that).
"""

import hashlib
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from waybill.domain.ids import JsonValue
from waybill.errors import FormatError
from waybill.steps.documents import Reader, read_json

MAX_FILES: Final = 200
MAX_PACKED_BYTES: Final = 30 * 1000 * 1000
MAX_UNPACKED_BYTES: Final = 150 * 1000 * 1000
MAX_RATIO: Final = 100
RATIO_FLOOR_BYTES: Final = 64 * 1024
"""Below this unpacked size the ratio of a file says nothing."""

DEFAULT_TIMEOUT_S: Final = 1800
MAX_TIMEOUT_S: Final = 24 * 3600

ID_PATTERN: Final = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
VERSION_PATTERN: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_SURFACES: Final = ("API", "UI", "Migration", "Validation", "InputSchema", "Execution")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds that a run gets when the process says nothing, and at most."""

    default_seconds: int = DEFAULT_TIMEOUT_S
    max_seconds: int = MAX_TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """What the package says that it needs. ``declared`` is False when it says nothing: then everything is assumed."""

    network: str = "outbound"
    child_process: bool = True
    tools: tuple[str, ...] = ()
    filesystem: str = "workdir"
    declared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDeclaration:
    """An output that the step may set. ``type``: ``string`` | ``json``."""

    name: str
    description: str = ""
    sensitive: bool = False
    type: str = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPackageManifest:
    """What a valid step package says of itself. ``raw`` is its metadata.json, ``inputs_schema`` its inputs.json, both as read.

    ``idempotent`` is False unless declared: only then may an interrupted run be repeated unattended.
    ``file_sha256s`` names every file inside, metadata included.
    """

    id: str
    version: str
    type: str
    name: str
    description: str
    categories: tuple[str, ...]
    idempotent: bool
    timeouts: Timeouts
    permissions: Permissions
    outputs: tuple[OutputDeclaration, ...]
    api_versions: Mapping[str, str]
    inputs_schema: dict[str, JsonValue]
    raw: dict[str, JsonValue]
    file_sha256s: Mapping[str, str] = field(default_factory=dict)


def read_package(data: bytes, *, filename: str | None = None) -> StepPackageManifest:
    """The manifest of the step package ``data``, every file of it checked.

    Args:
        data: the whole zip, at most ``MAX_PACKED_BYTES``.
        filename: ``<id>.<version>.zip``; gives the version when the metadata has none (old Octopus packages).
    Raises:
        FormatError: step.package_invalid, with the file or the JSON pointer that is wrong.
    Source: docs of the format: Octopus step-package-build 2.1.0; our additions are optional.
    """
    return manifest_of(read_files(data), filename=filename)


def read_files(data: bytes) -> dict[str, bytes]:
    """Every file of a step package by name, names and sizes safe, and equal to ``contents.json`` when there is one.

    Raises:
        FormatError: step.package_invalid: not a zip; too many or too large files; a name that is absolute, nested, doubled or
            differs from another in case only; an entry that is no plain file; a checksum that does not fit.
    """
    if len(data) > MAX_PACKED_BYTES:
        raise _invalid("the package is too large", expected=f"at most {MAX_PACKED_BYTES} bytes", found=len(data))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(entries)
            files = {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise _invalid("the package is not a readable zip file") from error
    _check_contents(files)
    return files


def manifest_of(files: Mapping[str, bytes], *, filename: str | None = None) -> StepPackageManifest:
    """The manifest in the files of a package. Raises FormatError step.package_invalid. The files are those of ``read_files``."""
    for needed in ("metadata.json", "inputs.json", "executor.js"):
        if needed not in files:
            raise _invalid("a file is missing", field=needed)
    raw = read_json(files["metadata.json"], file="metadata.json")
    schema = read_json(files["inputs.json"], file="inputs.json")
    read = Reader(raw, file="metadata.json")
    read.one_of("schemaVersion", ("1.0.0", "1.1.0"))
    read.one_of("launcher", ("node",))
    package_id = read.matching("id", ID_PATTERN, max_length=100)
    version = raw.get("version")
    if version is None and filename is not None:
        version = _version_in(filename, package_id)
    if not isinstance(version, str) or not VERSION_PATTERN.fullmatch(version) or len(version) > 100:
        raise _invalid("the version is missing or not a semantic version", field="metadata.json/version")
    return StepPackageManifest(
        id=package_id,
        version=version,
        type=read.one_of("type", ("step", "deployment-target")),
        name=read.text("name", max_length=100),
        description=read.text("description", max_length=500),
        categories=read.texts("categories"),
        idempotent=read.flag("idempotent", default=False),
        timeouts=_timeouts(read),
        permissions=_permissions(read),
        outputs=_outputs(read),
        api_versions=_api_versions(read),
        inputs_schema=schema,
        raw=raw,
        file_sha256s={name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
    )


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_FILES:
        raise _invalid("the package has too many files", expected=f"at most {MAX_FILES}", found=len(entries))
    seen: set[str] = set()
    for entry in entries:
        name = entry.orig_filename  # as stored: zipfile itself cuts at a NUL and rewrites separators
        if not _NAME.fullmatch(name) or entry.filename != name:
            raise _invalid("a file name is not allowed", field=name[:100], expected="a plain name without folders")
        if name.lower() in seen:
            raise _invalid("a file name occurs twice, perhaps in another case", field=name)
        seen.add(name.lower())
        mode = entry.external_attr >> 16
        if entry.is_dir() or (stat.S_IFMT(mode) not in (0, stat.S_IFREG)):
            raise _invalid("an entry is not a plain file", field=name)
        if entry.flag_bits & 0x1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _invalid("a file is encrypted or compressed in an unknown way", field=name)
        if entry.file_size > RATIO_FLOOR_BYTES and entry.file_size > MAX_RATIO * max(1, entry.compress_size):
            raise _invalid("a file is compressed too well to be honest", field=name, expected=f"a ratio of at most {MAX_RATIO}")
    total = sum(entry.file_size for entry in entries)
    if total > MAX_UNPACKED_BYTES:
        raise _invalid("the package is too large when unpacked", expected=f"at most {MAX_UNPACKED_BYTES} bytes", found=total)


def _check_contents(files: Mapping[str, bytes]) -> None:
    """``contents.json`` names every other file with size and hash, and nothing else; a package without one is taken as it is."""
    if "contents.json" not in files:
        return
    contents = read_json(files["contents.json"], file="contents.json")
    others = {name: content for name, content in files.items() if name != "contents.json"}
    if set(contents) != set(others):
        wrong = min(set(contents) ^ set(others))
        raise _invalid("contents.json and the files differ", field=f"contents.json/{wrong[:100]}")
    for name, content in others.items():
        wanted: JsonValue = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        if contents[name] != wanted:
            raise _invalid("a file is not the one that contents.json names", field=name)


def _version_in(filename: str, package_id: str) -> str | None:
    found = re.fullmatch(re.escape(package_id) + r"\.(.+)\.zip", filename)
    return found.group(1) if found else None


def _timeouts(read: Reader) -> Timeouts:
    inner = read.inner("timeouts")
    if inner is None:
        return Timeouts()
    most = inner.number("maxSeconds", default=MAX_TIMEOUT_S, most=7 * 24 * 3600)
    return Timeouts(default_seconds=inner.number("defaultSeconds", default=min(DEFAULT_TIMEOUT_S, most), most=most), max_seconds=most)


def _permissions(read: Reader) -> Permissions:
    inner = read.inner("permissions")
    if inner is None:
        return Permissions()
    return Permissions(
        network=inner.one_of("network", ("none", "outbound"), default="none"),
        child_process=inner.flag("childProcess", default=False),
        tools=inner.texts("tools", default=()),
        filesystem=inner.one_of("filesystem", ("workdir", "workdir+packages", "machine"), default="workdir"),
        declared=True,
    )


def _outputs(read: Reader) -> tuple[OutputDeclaration, ...]:
    declared = read.inner("outputs")
    if declared is None:
        return ()
    found = []
    for name in declared.names():
        inner = declared.inner(name)
        if inner is None or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,99}", name):
            raise _invalid("an output has no valid name or description", field=f"metadata.json/outputs/{name[:100]}")
        found.append(
            OutputDeclaration(
                name=name,
                description=inner.text("description", max_length=500, default=""),
                sensitive=inner.flag("sensitive", default=False),
                type=inner.one_of("type", ("string", "json"), default="string"),
            )
        )
    return tuple(found)


def _api_versions(read: Reader) -> dict[str, str]:
    inner = read.inner("apiVersions")
    if inner is None:
        return dict.fromkeys(_SURFACES, "1.0.0")
    return {surface: inner.matching(surface, VERSION_PATTERN, max_length=50) for surface in _SURFACES if surface in inner.names()}


def _invalid(message: str, *, field: str | None = None, expected: object = None, found: object = None) -> FormatError:
    return FormatError("step.package_invalid", message, field=field, expected=expected, found=found)
