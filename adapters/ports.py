# SPDX-License-Identifier: Apache-2.0
"""The composition of a site's adapters into ``waybill.ports.Ports``. Composition roots call it once; nothing happens at import."""

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from adapters.codec import make_converter, read_key_ring
from adapters.delta_engine import ScratchDeltas
from adapters.keys_file import KeyFile
from adapters.objects_s3 import S3Objects, S3Settings
from adapters.passwords import Argon2Passwords
from adapters.peer_http import HttpPeer
from adapters.settings import DatabaseSettings, ObjectSettings, Settings
from adapters.sql.ledger import SqlLedger, open_ledger
from adapters.temporal import TemporalEngine, tls_config
from waybill.errors import FormatError
from waybill.ports import Ports, SiteFacts

_MAX_CREDENTIALS_BYTES: Final = 64 * 1024


class SystemClock:
    """``waybill.ports.Clock``: this computer's clock, aware UTC."""

    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC)


class SystemEntropy:
    """``waybill.ports.Entropy``: the operating system's randomness."""

    def take(self, size: int) -> bytes:
        """``size`` random bytes."""
        return secrets.token_bytes(size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """The ports of a site, and what must be closed at the end."""

    ports: Ports
    ledger: SqlLedger
    engine: TemporalEngine
    peer: HttpPeer

    def close(self) -> None:
        """Connections are closed."""
        self.engine.close()
        self.peer.close()
        self.ledger.close()


def compose(settings: Settings) -> Composition:
    """The adapters that ``settings`` ask for; nothing is connected yet, so that a site starts in any order.

    Raises:
        FormatError: settings.invalid, when a named file cannot be used.
    """
    converter = make_converter(read_key_ring(settings.keys.codec_ring), namespace=settings.engine.namespace)
    ledger = open_ledger(database_url(settings.database))
    engine = TemporalEngine(
        address=settings.engine.address,
        namespace=settings.engine.namespace,
        converter=converter,
        tls=tls_config(settings.engine.tls),
    )
    peer = HttpPeer()
    objects = S3Objects(object_settings(settings.objects))
    ports = Ports(
        ledger=ledger,
        objects=objects,
        deltas=ScratchDeltas(objects, settings.work_directory / "deltas"),
        keys=KeyFile(settings.keys.file),
        engine=engine,
        peer=peer,
        passwords=Argon2Passwords(),
        clock=SystemClock(),
        entropy=SystemEntropy(),
        site=_facts(settings),
    )
    return Composition(ports=ports, ledger=ledger, engine=engine, peer=peer)


def build_ports(settings: Settings) -> Ports:
    """The ports of a site, for a process that lives as long as they do."""
    return compose(settings).ports


def database_url(settings: DatabaseSettings) -> str:
    """The whole URL, with the password of its file; never log it."""
    if settings.password_file is None:
        return settings.url
    password = settings.password_file.read_text(encoding="utf-8").strip()
    return make_url(settings.url).set(password=password).render_as_string(hide_password=False)


def object_settings(settings: ObjectSettings) -> S3Settings:
    """What the S3 adapter needs. Raises FormatError settings.invalid, when the credentials file cannot be used."""
    access_key, secret_key = _credentials(settings.credentials_file)
    return S3Settings(
        endpoint=settings.endpoint,
        access_key=access_key,
        secret_key=secret_key,
        bucket=settings.bucket,
        public_url=settings.public_url,
        ca_file=None if settings.ca_file is None else str(settings.ca_file),
        region=settings.region,
    )


def _credentials(path: Path) -> tuple[str, str]:
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_MAX_CREDENTIALS_BYTES))
        return str(document["access_key"]), str(document["secret_key"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        # Not chained: a JSON error quotes the file, and the file is a secret.
        raise FormatError(
            "settings.invalid",
            f"The credentials file {path.name} cannot be read ({type(error).__name__})",
            field="objects.credentials_file",
            expected='JSON {"access_key": …, "secret_key": …}',
        ) from None


def _facts(settings: Settings) -> SiteFacts:
    ca_file = settings.api.ca_file
    return SiteFacts(
        name=settings.name,
        api_url=settings.api.public_url,
        objects_url=settings.objects.public_url,
        ca_pem=None if ca_file is None else ca_file.read_text(encoding="ascii"),
        outbound_peers=settings.peers.outbound,
        part_size_bytes=settings.limits.part_size_bytes,
        max_package_bytes=settings.limits.max_package_bytes,
        courier_poll_seconds=settings.peers.courier_poll_seconds,
    )
