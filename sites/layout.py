# SPDX-License-Identifier: Apache-2.0
"""Where the files of one site lie: everything under one directory, so that it can be moved, backed up or removed whole."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from waybill.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class SiteLayout:
    """The paths of a site under ``directory``."""

    directory: Path

    @property
    def settings(self) -> Path:
        """What every process of the site reads."""
        return self.directory / "site.toml"

    @property
    def embedded(self) -> Path:
        """Ports of the servers that the site runs by itself; absent when it uses yours."""
        return self.directory / "embedded.json"

    @property
    def secrets(self) -> Path:
        """Files that only the owner can read."""
        return self.directory / "secrets"

    @property
    def tls(self) -> Path:
        """The site's certificate authority and server certificate."""
        return self.directory / "tls"

    @property
    def data(self) -> Path:
        """Database, Temporal's file, objects."""
        return self.directory / "data"

    @property
    def logs(self) -> Path:
        """One log for each process."""
        return self.directory / "logs"

    @property
    def machines(self) -> Path:
        """One directory for each machine that this site runs itself."""
        return self.directory / "machines"

    @property
    def authority(self) -> Path:
        """What the other side, a browser and the command line verify the site's TLS against."""
        return self.tls / "authority.pem"

    @property
    def first_password(self) -> Path:
        """The first administrator's generated password."""
        return self.secrets / "first-password"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPorts:
    """The loopback ports of a site's own servers. The public ones are what peers are told; a proxy may stand there."""

    api: int
    objects: int
    engine: int
    engine_http: int
    engine_ui: int
    engine_metrics: int
    public_api: int
    public_objects: int

    def save(self, layout: SiteLayout) -> None:
        """The ports stand in ``embedded.json``."""
        layout.embedded.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @staticmethod
    def load(layout: SiteLayout) -> "EmbeddedPorts":
        """The ports of an existing site. Raises NotFoundError record.absent when it has no servers of its own."""
        if not layout.embedded.exists():
            raise NotFoundError("record.absent", f"{layout.directory} is not a site with servers of its own", field="directory")
        return EmbeddedPorts(**json.loads(layout.embedded.read_text()))
