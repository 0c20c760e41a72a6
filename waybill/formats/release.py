# SPDX-License-Identifier: Apache-2.0
"""The Release: signed once by the Space that owns it, the same bytes for every target and every relay.

It holds nothing that belongs to one target: no environment name, no secret, no value for a remote Space.
The SHA-256 of its payload is the release digest. Byte-level description: docs/formats/release-v1.md.
"""

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final

from waybill.domain.ids import JsonValue
from waybill.domain.projects import Action
from waybill.domain.variables import Scope, Template, ValueType
from waybill.errors import FormatError
from waybill.formats import canonical, process, values
from waybill.formats.fields import MAX_NOTES, SCHEMA_MINOR, Fields, check_unique, open_document, schema, write_time

PAYLOAD_TYPE: Final = "application/vnd.waybill.release.v1+json"
MAX_VARIABLES: Final = 10_000
MAX_PACKAGES: Final = 5_000
MAX_ATTACHMENTS: Final = 1_000
MAX_BLOB_BYTES: Final = 2**50

_KEPT: Final = 256
_KEPT_BYTES: Final = 64 * 1024
"""So many payloads of at most this size stay decoded: the same few releases are read for each message about them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOwner:
    """Who made the release. ``identity_sha256`` is the payload digest of the identity document that was current at the freeze."""

    space_id: str
    identity_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseProject:
    """The project at its owner."""

    id: str
    name: str
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseVariable:
    """One variable as frozen. Exactly one of ``value``, ``sensitive`` and ``template`` is set.

    ``sensitive`` only marks that a secret exists: its value travels sealed in each Delivery.
    """

    id: str
    name: str
    type: ValueType
    scope: Scope = Scope()
    value: str | None = None
    sensitive: bool = False
    template: Template | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptedVariable:
    """A variable that is asked for at each deployment."""

    id: str
    name: str
    type: ValueType
    template: Template


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePackage:
    """A package that the process needs, by its exact bytes. ``feed_hint`` says where it might also be had; the digest decides."""

    ref_names: tuple[str, ...]
    package_id: str
    version: str
    size_bytes: int
    sha256: str
    media_type: str
    filename: str
    feed_hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseStepPackage:
    """A step package of the closure. ``surfaces`` names what it contains, such as ``executor`` and ``ui``."""

    package_id: str
    version: str
    size_bytes: int
    sha256: str
    surfaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAttachment:
    """A further file that belongs to the release."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseDoc:
    """What a Release says."""

    release_id: str
    frozen_at: datetime
    owner: ReleaseOwner
    project: ReleaseProject
    version: str
    channel_name: str
    notes: str
    actions: tuple[Action, ...]
    variables: tuple[ReleaseVariable, ...] = ()
    prompted: tuple[PromptedVariable, ...] = ()
    packages: tuple[ReleasePackage, ...] = ()
    step_packages: tuple[ReleaseStepPackage, ...] = ()
    attachments: tuple[ReleaseAttachment, ...] = ()
    min_reader: str = "1.0"
    minor: int = field(default=SCHEMA_MINOR)


def encode(doc: ReleaseDoc) -> bytes:
    """The payload of ``doc``; the reader has accepted it.

    Raises:
        FormatError: as ``decode``; payload.invalid for a float in the inputs or a scope that names a tenant.
    """
    actions: list[JsonValue] = [process.action_to_json(action) for action in doc.actions]
    variables: list[JsonValue] = [_variable_to_json(one) for one in doc.variables]
    payload = canonical.encode(
        {
            **schema(doc.minor),
            "attachments": [{"name": one.name, "sha256": one.sha256, "size": one.size_bytes} for one in doc.attachments],
            "channel_name": doc.channel_name,
            "frozen_at": write_time(doc.frozen_at),
            "needs": {"min_reader": doc.min_reader},
            "notes": doc.notes,
            "owner": {"identity_sha256": doc.owner.identity_sha256, "space_id": doc.owner.space_id},
            "packages": [_package_to_json(one) for one in doc.packages],
            "process": {"actions": actions},
            "project": {"group": doc.project.group, "id": doc.project.id, "name": doc.project.name},
            "prompted": [_prompted_to_json(one) for one in doc.prompted],
            "release_id": doc.release_id,
            "step_packages": [_step_package_to_json(one) for one in doc.step_packages],
            "variables": variables,
            "version": doc.version,
        }
    )
    decode(payload)
    return payload


def decode(payload: bytes) -> ReleaseDoc:
    """The Release in ``payload``. Its signature is checked in waybill/trust/verify.py, not here.

    Raises:
        FormatError: payload.not_strict_json, payload.invalid, limit.exceeded, bundle.schema_unsupported;
            package.coordinate_invalid, package.digest_unsupported; bundle.secret_in_clear for a secret with a value or a default;
            bundle.incomplete, when an action names a package or a step package that the release does not list.
    Source: docs/formats/release-v1.md.
    """
    return _kept(payload) if len(payload) <= _KEPT_BYTES else _read(payload)


def _read(payload: bytes) -> ReleaseDoc:
    fields = open_document(payload)
    doc = ReleaseDoc(
        release_id=fields.id("release_id", "rel"),
        frozen_at=fields.time("frozen_at"),
        owner=_read_owner(fields.child("owner")),
        project=_read_project(fields.child("project")),
        version=fields.coordinate("version"),
        channel_name=fields.name("channel_name"),
        notes=fields.text("notes", least=0, most=MAX_NOTES),
        actions=process.read_actions(fields.child("process")),
        variables=tuple(_read_variable(one) for one in fields.children("variables", most=MAX_VARIABLES)),
        prompted=tuple(_read_prompted(one) for one in fields.children("prompted", most=MAX_VARIABLES)),
        packages=tuple(_read_package(one) for one in fields.children("packages", most=MAX_PACKAGES)),
        step_packages=tuple(_read_step_package(one) for one in fields.children("step_packages", most=MAX_PACKAGES)),
        attachments=tuple(_read_attachment(one) for one in fields.children("attachments", most=MAX_ATTACHMENTS)),
        min_reader=_read_needs(fields.child("needs")),
        minor=fields.minor,
    )
    fields.end()
    _check_whole(doc)
    return doc


_kept = lru_cache(_KEPT)(_read)


def _check_whole(doc: ReleaseDoc) -> None:
    """Everything that an action names stands in the release: a target must never have to guess bytes."""
    check_unique([one.id for one in doc.variables] + [one.id for one in doc.prompted], field="/variables")
    check_unique([one.package_id for one in doc.packages], field="/packages")
    check_unique([f"{one.package_id}\n{one.version}" for one in doc.step_packages], field="/step_packages")
    check_unique([one.name for one in doc.attachments], field="/attachments")
    packages = {one.package_id for one in doc.packages}
    steps = {(one.package_id, one.version, one.sha256) for one in doc.step_packages}
    for number, action in enumerate(doc.actions):
        at = f"/process/actions/{number}"
        step = action.step
        if (step.package_id, step.version, step.sha256) not in steps:
            raise FormatError(
                "bundle.incomplete", "The step package of an action is not in the release", field=f"{at}/step", found=step.package_id
            )
        for use in action.packages:
            if use.package_id not in packages:
                raise FormatError(
                    "bundle.incomplete", "A package of an action is not in the release", field=f"{at}/packages", found=use.package_id
                )


def _read_owner(fields: Fields) -> ReleaseOwner:
    owner = ReleaseOwner(space_id=fields.id("space_id", "spc"), identity_sha256=fields.digest("identity_sha256"))
    fields.end()
    return owner


def _read_project(fields: Fields) -> ReleaseProject:
    project = ReleaseProject(id=fields.id("id", "prj"), name=fields.name("name"), group=fields.text("group", least=0))
    fields.end()
    return project


def _read_needs(fields: Fields) -> str:
    version = fields.text("min_reader")
    major, dot, minor = version.partition(".")
    if not (dot and version.isascii() and major.isdigit() and minor.isdigit() and len(version) <= 10):
        raise fields.invalid("min_reader", "a version such as 1.0", version[:40])
    fields.end()
    return version


def _variable_to_json(variable: ReleaseVariable) -> JsonValue:
    chosen: dict[str, JsonValue] = {}
    if variable.value is not None:
        chosen["value"] = variable.value
    if variable.sensitive:
        chosen["sensitive"] = True
    if variable.template is not None:
        chosen["template"] = values.template_to_json(variable.template)
    return {"id": variable.id, "name": variable.name, "scope": values.scope_to_json(variable.scope), "type": variable.type.value, **chosen}


def _read_variable(fields: Fields) -> ReleaseVariable:
    kind = values.read_type(fields)
    chosen = [name for name in ("value", "sensitive", "template") if fields.has(name)]
    if len(chosen) != 1:
        raise fields.invalid("value", "exactly one of value, sensitive and template", ", ".join(chosen))
    if chosen == ["sensitive"] and not fields.boolean("sensitive"):
        raise fields.invalid("sensitive", "true")
    variable = ReleaseVariable(
        id=fields.id("id", "var"),
        name=values.read_name(fields),
        type=kind,
        scope=values.read_scope(fields.child("scope")),
        value=values.read_clear_value(fields, type=kind) if chosen == ["value"] else None,
        sensitive=chosen == ["sensitive"],
        template=values.read_template(fields.child("template"), type=kind) if chosen == ["template"] else None,
    )
    fields.end()
    return variable


def _prompted_to_json(one: PromptedVariable) -> JsonValue:
    return {"id": one.id, "name": one.name, "template": values.template_to_json(one.template), "type": one.type.value}


def _read_prompted(fields: Fields) -> PromptedVariable:
    kind = values.read_type(fields)
    template = values.read_template(fields.child("template"), type=kind)
    prompted = PromptedVariable(id=fields.id("id", "var"), name=values.read_name(fields), type=kind, template=template)
    fields.end()
    return prompted


def _package_to_json(one: ReleasePackage) -> JsonValue:
    return {
        "feed_hint": one.feed_hint,
        "filename": one.filename,
        "id": one.package_id,
        "media_type": one.media_type,
        "ref_names": list(one.ref_names),
        "sha256": one.sha256,
        "size": one.size_bytes,
        "version": one.version,
    }


def _read_package(fields: Fields) -> ReleasePackage:
    package = ReleasePackage(
        ref_names=fields.texts("ref_names", most=1000),
        package_id=fields.coordinate("id"),
        version=fields.coordinate("version"),
        size_bytes=fields.integer("size", most=MAX_BLOB_BYTES),
        sha256=fields.digest("sha256"),
        media_type=fields.name("media_type"),
        filename=read_file_name(fields, "filename"),
        feed_hint=fields.optional("feed_hint", lambda name: fields.name(name, most=2000)),
    )
    fields.end()
    return package


def read_file_name(fields: Fields, name: str) -> str:
    """One segment of a path: no separator, no control character, neither ``.`` nor ``..``."""
    value = fields.name(name, most=255)
    if value in (".", "..") or "/" in value or "\\" in value:
        raise fields.invalid(name, "a file name without a path", repr(value[:60]))
    return value


def _step_package_to_json(one: ReleaseStepPackage) -> JsonValue:
    return {"id": one.package_id, "sha256": one.sha256, "size": one.size_bytes, "surfaces": list(one.surfaces), "version": one.version}


def _read_step_package(fields: Fields) -> ReleaseStepPackage:
    package = ReleaseStepPackage(
        package_id=fields.coordinate("id"),
        version=fields.coordinate("version"),
        size_bytes=fields.integer("size", most=MAX_BLOB_BYTES),
        sha256=fields.digest("sha256"),
        surfaces=fields.texts("surfaces", most=20),
    )
    fields.end()
    return package


def _read_attachment(fields: Fields) -> ReleaseAttachment:
    attachment = ReleaseAttachment(
        name=read_file_name(fields, "name"), size_bytes=fields.integer("size", most=MAX_BLOB_BYTES), sha256=fields.digest("sha256")
    )
    fields.end()
    return attachment
