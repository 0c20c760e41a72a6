# SPDX-License-Identifier: Apache-2.0
"""Makes a site: keys, certificates, settings, database, first administrator, Spaces.

It refuses a directory that already holds a site: keys that are overwritten make everything that they wrapped unreadable.
No default credential exists; the first password is generated and stands in a file that only the owner can read.
"""

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from adapters import codec, keys_file, tls
from adapters.objects_s3 import S3Objects
from adapters.ports import build_ports, database_url, object_settings
from adapters.settings import load_settings
from adapters.sql import migrations
from sites.layout import EmbeddedPorts, SiteLayout
from sites.ports_free import free_ports
from sites.programs import NAMESPACE, STEPS_NAMESPACE
from waybill.app import access, admin
from waybill.domain.access import EVERY_SPACE, AccessGrant
from waybill.errors import ConflictError

ADMINISTRATOR = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePlan:
    """What a new site shall be. ``outbound`` none: it opens no connection to any peer; ``peer_endpoint`` False: no peer may call it either.

    ``database_url``: an empty database of yours, without its password, which stands in ``database_password_file``; by default a SQLite file.
    """

    name: str
    outbound: str = "any"
    peer_endpoint: bool = True
    courier_poll_seconds: float = 15.0
    database_url: str | None = None
    database_password_file: Path | None = None
    ports: EmbeddedPorts | None = None


def create_site(layout: SiteLayout, plan: SitePlan) -> EmbeddedPorts:
    """Everything on disk that the site's processes read; nothing runs yet and the database is empty but migrated.

    Raises:
        ConflictError: record.conflict, when the directory holds a site already.
    """
    if layout.settings.exists():
        raise ConflictError("record.conflict", f"{layout.directory} holds a site already", field="directory", found=str(layout.settings))
    ports = plan.ports or choose_ports()
    for directory in (
        layout.secrets,
        layout.tls,
        layout.data,
        layout.logs,
        layout.machines,
        layout.data / "objects",
        layout.data / "sidecar",
    ):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write_secrets(layout)
    _write_certificates(layout, plan.name)
    ports.save(layout)
    layout.settings.write_text(_settings(layout, plan, ports))
    migrations.upgrade(database_url(load_settings(layout.settings).database))
    return ports


def prepare(settings_file: Path) -> str:
    """The database is at this program's revision and the bucket exists; returns the revision. Safe to repeat.

    Raises:
        UnavailableError: ledger.unavailable or store.unavailable.
    """
    settings = load_settings(settings_file)
    S3Objects(object_settings(settings.objects)).ensure_bucket()
    return migrations.upgrade(database_url(settings.database))


def choose_ports(given: Mapping[str, int | None] | None = None) -> EmbeddedPorts:
    """The ports that are given, and free loopback ports for the others; peers are told the site's own unless others are given."""
    names = [name for name in EmbeddedPorts.__dataclass_fields__ if not name.startswith("public_")]
    chosen = dict(zip(names, free_ports(len(names)), strict=True))
    chosen.update({name: port for name, port in (given or {}).items() if port is not None})
    return EmbeddedPorts(**{"public_api": chosen["api"], "public_objects": chosen["objects"], **chosen})


def first_administrator(layout: SiteLayout) -> str:
    """The account ``admin`` exists, with every right on this site; its generated password, also in ``secrets/first-password``."""
    password = secrets.token_urlsafe(18)
    ports = build_ports(load_settings(layout.settings))
    # Nobody else knows a password that was made here and lies in a private file, so it need not be changed at once.
    everything = (AccessGrant(space_id=EVERY_SPACE, permissions=("*",)),)
    access.create_account(ports, access.SYSTEM, username=ADMINISTRATOR, password=password, grants=everything, must_change_password=False)
    write_private(layout.first_password, password + "\n")
    return password


def create_spaces(layout: SiteLayout, names: Sequence[str]) -> None:
    """A Space of each name, with its keys."""
    ports = build_ports(load_settings(layout.settings))
    for name in names:
        admin.create_space(ports, access.SYSTEM, name=name)


def write_private(path: Path, text: str) -> None:
    """A new file that was never readable by anybody else."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def _write_secrets(layout: SiteLayout) -> None:
    keys_file.generate(layout.secrets / "keys.json")
    codec.write_key_ring(layout.secrets / "codec.json")
    codec.write_key_ring(layout.secrets / "codec-steps.json")
    credentials = {"access_key": secrets.token_hex(10), "secret_key": secrets.token_urlsafe(30)}
    write_private(layout.secrets / "objects.json", json.dumps(credentials))


def _write_certificates(layout: SiteLayout, name: str) -> None:
    now = datetime.now(UTC)
    authority = tls.make_authority(name=f"Waybill site {name}", now=now)
    server = tls.issue_server_certificate(authority, hosts=("127.0.0.1", "localhost"), now=now)
    layout.authority.write_text(authority.certificate_pem)
    write_private(layout.tls / "authority.key", authority.key_pem)
    (layout.tls / "server.pem").write_text(server.certificate_pem + authority.certificate_pem)
    write_private(layout.tls / "server.key", server.key_pem)


def _settings(layout: SiteLayout, plan: SitePlan, ports: EmbeddedPorts) -> str:
    """site.toml; paths count from its own directory, but for the database URL, which is absolute."""
    public_api = f'public_url = "https://127.0.0.1:{ports.public_api}"\n' if plan.peer_endpoint else ""
    url = plan.database_url or f"sqlite:///{(layout.data / 'waybill.db').resolve()}"
    database = f"url = {json.dumps(url)}\n"
    if plan.database_password_file is not None:
        database += f"password_file = {json.dumps(str(plan.database_password_file.resolve()))}\n"
    public_objects = f'public_url = "https://127.0.0.1:{ports.public_objects}"\n' if plan.peer_endpoint else ""
    return f'''# The settings of one Waybill site; docs/guides/operate.md explains each. No secret stands here, only the names of files.
name = {json.dumps(plan.name)}
work_directory = "work"

[database]
{database}
[objects]
endpoint = "https://127.0.0.1:{ports.objects}"
{public_objects}bucket = "waybill"
credentials_file = "secrets/objects.json"
ca_file = "tls/authority.pem"

[keys]
file = "secrets/keys.json"
codec_ring = "secrets/codec.json"
steps_codec_ring = "secrets/codec-steps.json"

[engine]
address = "127.0.0.1:{ports.engine}"
namespace = "{NAMESPACE}"
steps_namespace = "{STEPS_NAMESPACE}"

[api]
bind = "127.0.0.1:{ports.api}"
{public_api}certificate_file = "tls/server.pem"
key_file = "tls/server.key"
ca_file = "tls/authority.pem"
temporal_ui_origin = "http://127.0.0.1:{ports.engine_ui}"

[peers]
outbound = "{plan.outbound}"
courier_poll_seconds = {plan.courier_poll_seconds}
'''
