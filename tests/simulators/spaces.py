# SPDX-License-Identifier: Apache-2.0
"""Spaces in memory with something in them: packages, a step package, a project, trusts both ways, built through the use cases themselves."""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, replace

from tests.simulators.site import Site, make_site
from waybill.app import admin, identity, lifecycles, packages, projects, releases, trusts, upload_proof
from waybill.app.access import SYSTEM
from waybill.domain.ids import JsonValue
from waybill.domain.lifecycles import Phase
from waybill.domain.packages import Package
from waybill.domain.projects import Action, PackageUse, Project, StepRef
from waybill.domain.releases import Release
from waybill.domain.trusts import Grants, Road, Trust
from waybill.ports import Ports

SEND = Grants(send_releases=True, accept_receipts=True)
ACCEPT = Grants(accept_releases=True, send_receipts=True)

INPUTS_SCHEMA: dict[str, JsonValue] = {
    "type": "object",
    "isRoot": True,
    "properties": {
        "script": {"type": "string"},
        "password": {"type": "object", "isSensitiveValue": True},
        "seconds": {"type": "integer"},
        "package": {"type": "object", "isPackageReference": True},
    },
    "required": ["script"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """One Space on its site."""

    site: Site
    space_id: str
    name: str

    @property
    def ports(self) -> Ports:
        """The site's ports."""
        return self.site.ports

    def push(self, package_id: str, version: str, data: bytes) -> Package:
        """A package uploaded and verified."""
        self._upload(data, purpose="package", package_id=package_id, version=version, filename=f"{package_id.split('/')[-1]}.{version}.bin")
        return packages.get_package(self.ports, SYSTEM, space_id=self.space_id, package_id=package_id, version=version)

    def install(self, package_id: str = "run-script", version: str = "1.0.0") -> None:
        """A step package uploaded, verified and registered."""
        self._upload(step_package(package_id, version), purpose="step_package", filename=f"{package_id}.{version}.zip")

    def project(self, name: str = "Storefront", *, actions: tuple[Action, ...] | None = None, lifecycle: str | None = None) -> Project:
        """A project with a process of one script action, or of ``actions``."""
        made = projects.create_project(self.ports, SYSTEM, space_id=self.space_id, name=name, lifecycle=lifecycle)
        process = projects.get_process(self.ports, SYSTEM, space_id=self.space_id, project=made.id)
        chosen = (action("Run"),) if actions is None else actions
        projects.save_process(self.ports, SYSTEM, space_id=self.space_id, project=made.id, actions=chosen, if_revision=process.revision)
        return made

    def release(self, project: Project, version: str = "1.0.0") -> Release:
        """A release of the project as it is now."""
        return releases.create_release(self.ports, SYSTEM, space_id=self.space_id, project=project.id, version=version)

    def lifecycle(self, name: str, *phases: tuple[str, ...]) -> str:
        """A lifecycle with one mandatory phase per tuple of member names; returns its id."""
        listed = [Phase(name=f"Phase {number}", members=members) for number, members in enumerate(phases, 1)]
        return lifecycles.save_lifecycle(self.ports, SYSTEM, space_id=self.space_id, name=name, phases=listed).id

    def trust(self, other: "Home", *, grants: Grants, road: Road = Road.CARRIER) -> Trust:
        """An active trust of this Space with the other one."""
        body = identity.export_identity(other.ports, SYSTEM, space_id=other.space_id)
        row = trusts.register_trust(self.ports, SYSTEM, space_id=self.space_id, identity=body, name=other.name, road=road, grants=grants)
        return trusts.confirm_trust(
            self.ports, SYSTEM, space_id=self.space_id, trust=row.id, fingerprint=row.fingerprint, if_revision=row.revision
        )

    def _upload(self, data: bytes, *, purpose: str, package_id: str = "", version: str = "", filename: str = "") -> None:
        sha256 = hashlib.sha256(data).hexdigest()
        grant = packages.begin_upload(
            self.ports,
            SYSTEM,
            space_id=self.space_id,
            size_bytes=len(data),
            sha256=sha256,
            purpose=purpose,
            package_id=package_id,
            version=version,
            filename=filename,
        )
        if grant.upload is None:
            return
        for part in grant.parts:
            piece = data[part.offset : part.offset + part.size_bytes]
            self.site.objects.put_part(upload_proof.key_of(self.ports, grant.upload), grant.upload.multipart_id, part.number, piece)
        packages.complete_upload(self.ports, SYSTEM, space_id=self.space_id, upload_id=grant.upload.id)
        packages.verify_upload(self.ports, space_id=self.space_id, upload_id=grant.upload.id, on_bytes=lambda _total: None)


def make_home(name: str, *, site: Site | None = None) -> Home:
    """A Space of that name, on its own site unless one is given."""
    where = site or make_site(name.lower())
    space = admin.create_space(where.ports, SYSTEM, name=name)
    return Home(site=where, space_id=space.id, name=name)


def make_pair(source: str = "DevTest", target: str = "Prod") -> tuple[Home, Home, Trust, Trust]:
    """Two Spaces on two sites with one clock, and the trust of each with the other: the first sends releases, the second receipts."""
    one = make_home(source)
    other = make_home(target, site=make_site(target.lower(), clock=one.site.clock))
    return one, other, one.trust(other, grants=SEND), other.trust(one, grants=ACCEPT)


def action(name: str, *, package_id: str | None = None, inputs: dict[str, JsonValue] | None = None, step: str = "1") -> Action:
    """A valid action that runs a script; with ``package_id`` it uses that package as ``app``."""
    made = Action(
        id="",
        name=name,
        step=StepRef(package_id="run-script", version=step),
        inputs={"script": "echo hello"} if inputs is None else inputs,
    )
    return replace(made, packages=(PackageUse(ref_name="app", package_id=package_id),)) if package_id else made


def step_package(package_id: str = "run-script", version: str = "1.0.0") -> bytes:
    """The zip of a valid step package."""
    metadata = {
        "schemaVersion": "1.1.0",
        "type": "step",
        "id": package_id,
        "version": version,
        "name": package_id,
        "description": "A step of the tests.",
        "categories": ["Test"],
        "launcher": "node",
    }
    files = {"metadata.json": json.dumps(metadata), "inputs.json": json.dumps(INPUTS_SCHEMA), "executor.js": "exports.default = () => {};"}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0)), text)
    return out.getvalue()
