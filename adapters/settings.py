# SPDX-License-Identifier: Apache-2.0
"""The settings of a process, read once from one TOML file by a composition root.

Two kinds of process have two models.
``Settings`` is for a site (control, transfer, API); ``MachineSettings`` is for a machine that runs steps.
A machine's file has no place for a database, a key of the Space or an S3 credential, so that none can be put there by mistake.

Refused: unknown settings, contradictions, secrets in the file itself, secret files that others can read.
Nothing comes from the environment; the path of the file may (``WAYBILL_SETTINGS``).
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from waybill.errors import FormatError

MAX_SETTINGS_BYTES: Final = 256 * 1024
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def _is_loopback(host: str | None) -> bool:
    return host is not None and (host in LOOPBACK or host.startswith("127."))


def _secure_url(text: str) -> str:
    """A URL that protects what it carries: https, or http on this very machine."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("give a URL that begins with https://")
    if parts.username or parts.password:
        raise ValueError("a URL must hold no password; name a credentials file instead")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("http is allowed to this very machine only; give an https:// URL")
    return text.rstrip("/")


def _readable(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("there is no such file; create it, or correct the path")
    return path


def _private(path: Path) -> Path:
    """An existing file that only its owner can read."""
    if _readable(path).stat().st_mode & 0o077:
        raise ValueError("others can read this secret file; run chmod 600 on it")
    return path


SecureUrl = Annotated[str, AfterValidator(_secure_url)]
ReadableFile = Annotated[Path, AfterValidator(_readable)]
SecretFile = Annotated[Path, AfterValidator(_private)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSettings(_Section):
    """``url``: ``sqlite:///…`` or ``postgresql+psycopg://user@host/name`` without a password, which stands in ``password_file``."""

    url: str
    password_file: SecretFile | None = None

    @model_validator(mode="after")
    def _no_password(self) -> Self:
        if urlsplit(self.url).password:
            raise ValueError("the URL must hold no password; put it into a file and name that in database.password_file")
        return self


class ObjectSettings(_Section):
    """The S3 store. ``public_url`` is the address under which a peer reaches it; absent when no peer may.

    ``credentials_file`` is JSON with ``access_key`` and ``secret_key``.
    """

    endpoint: SecureUrl
    public_url: SecureUrl | None = None
    bucket: str = Field(min_length=3, max_length=63, pattern=r"^[a-z0-9][a-z0-9.-]+$")
    region: str = "us-east-1"
    credentials_file: SecretFile
    ca_file: ReadableFile | None = None


class KeySettings(_Section):
    """``file`` wraps what the database holds; the two rings encrypt what Temporal stores, for the two namespaces apart."""

    file: SecretFile
    codec_ring: SecretFile
    steps_codec_ring: SecretFile

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if len({self.file, self.codec_ring, self.steps_codec_ring}) != 3:
            raise ValueError("keys.file, keys.codec_ring and keys.steps_codec_ring must be three different files")
        return self


class EngineTls(_Section):
    """TLS to the Temporal server. Paths of PEM files."""

    ca_file: ReadableFile
    certificate_file: ReadableFile | None = None
    key_file: SecretFile | None = None
    server_name: str | None = None


class EngineSettings(_Section):
    """The Temporal server and the two namespaces of this site."""

    address: str = Field(pattern=r"^[^/\s]+:\d{1,5}$")
    namespace: str = Field(min_length=1, max_length=200)
    steps_namespace: str = Field(min_length=1, max_length=200)
    tls: EngineTls | None = None

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.namespace == self.steps_namespace:
            raise ValueError("engine.namespace and engine.steps_namespace must differ: machines that run steps may not see stories")
        if self.tls is None and not _is_loopback(self.address.rsplit(":", 1)[0]):
            raise ValueError("a Temporal server on another machine needs [engine.tls]")
        return self


class ApiSettings(_Section):
    """Where the API listens. ``public_url`` is what the identity document tells peers; absent when none may call.

    ``temporal_ui_origin``: the one web origin (scheme, host, port) whose pages may use the codec server.
    """

    bind: str = Field(default="127.0.0.1:8080", pattern=r"^[^/\s]+:\d{1,5}$")
    public_url: SecureUrl | None = None
    certificate_file: ReadableFile | None = None
    key_file: SecretFile | None = None
    ca_file: ReadableFile | None = None
    temporal_ui_origin: SecureUrl | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("api.certificate_file and api.key_file go together")
        if self.certificate_file is None and not _is_loopback(self.bind.rsplit(":", 1)[0]):
            raise ValueError("the API may listen without TLS on this very machine only; give api.certificate_file and api.key_file")
        return self


class PeerSettings(_Section):
    """``outbound = "none"``: this site opens no connection to any peer. Seconds between the rounds of a courier."""

    outbound: Literal["any", "none"] = "any"
    courier_poll_seconds: float = Field(default=15.0, ge=0.05, le=3600)


class LimitSettings(_Section):
    """Sizes in bytes."""

    part_size_bytes: int = Field(default=8 * 1024**2, ge=5 * 1024**2, le=512 * 1024**2)
    max_package_bytes: int = Field(default=50 * 1024**3, ge=1)


class _FromFile(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="", nested_model_default_partial_update=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # the library passes it by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the library passes it by name
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the library passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the library passes it by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The file alone: an environment variable of a container must not change what a site trusts."""
        return (init_settings,)


class Settings(_FromFile):
    """A site. ``work_directory`` holds scratch files only; everything durable is in the database and the object store."""

    name: str = Field(min_length=1, max_length=100)
    work_directory: Path
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    database: DatabaseSettings
    objects: ObjectSettings
    keys: KeySettings
    engine: EngineSettings
    api: ApiSettings = ApiSettings()
    peers: PeerSettings = PeerSettings()
    limits: LimitSettings = LimitSettings()

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.api.public_url is not None and self.objects.public_url is None:
            raise ValueError("peers that call api.public_url also fetch packages: give objects.public_url")
        return self


class MachineSettings(_FromFile):
    """A machine that runs steps: the site's API, its own key, the steps namespace, Node, and nothing else of the site.

    ``search_path`` is the PATH of the steps; interpreters of scripts must be on it.
    """

    name: str = Field(min_length=1, max_length=100)
    work_directory: Path
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    api_url: SecureUrl
    api_ca_file: ReadableFile | None = None
    objects_ca_file: ReadableFile | None = None
    token_file: SecretFile
    codec_ring: SecretFile
    engine_address: str = Field(pattern=r"^[^/\s]+:\d{1,5}$")
    steps_namespace: str = Field(min_length=1, max_length=200)
    engine_tls: EngineTls | None = None
    node_path: ReadableFile
    bootstrap_path: ReadableFile
    search_path: str = Field(default="/usr/local/bin:/usr/bin:/bin", min_length=1, max_length=4096)
    max_concurrent_steps: int = Field(default=4, ge=1, le=64)

    @model_validator(mode="after")
    def _protected(self) -> Self:
        if self.engine_tls is None and not _is_loopback(self.engine_address.rsplit(":", 1)[0]):
            raise ValueError("a Temporal server on another machine needs [engine_tls]")
        return self


M = TypeVar("M", bound=_FromFile)


def load_settings(path: Path) -> Settings:
    """The settings of a site.

    Args:
        path: a TOML file of at most 256 KiB; relative paths inside it count from its directory.
    Raises:
        FormatError: settings.invalid, naming the setting and what to do.
    """
    return _load(path, Settings)


def load_machine_settings(path: Path) -> MachineSettings:
    """The settings of a machine that runs steps.

    Raises:
        FormatError: settings.invalid, naming the setting and what to do.
    """
    return _load(path, MachineSettings)


def _load(path: Path, model: type[M]) -> M:
    try:
        if path.stat().st_size > MAX_SETTINGS_BYTES:
            raise FormatError("settings.invalid", f"{path.name} is larger than 256 KiB", field=path.name)
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(
            "settings.invalid", f"The settings file {path} cannot be read: {error.strerror}; name it with --settings", field="--settings"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError("settings.invalid", f"{path.name} is not TOML: {error}", field=path.name) from error
    try:
        return model.model_validate(_absolute(values, path.resolve().parent))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or path.name
        reason = first["msg"].removeprefix("Value error, ")
        raise FormatError("settings.invalid", f"{path.name}: {field}: {reason}", field=field) from None


def _absolute(values: Mapping[str, object], base: Path) -> dict[str, object]:
    """``values`` with every path made absolute, so that a process may be started from anywhere."""
    out: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            out[name] = _absolute(value, base)
        elif isinstance(value, str) and name in _PATHS:
            out[name] = str(base / value)
        else:
            out[name] = value
    return out


_PATHS: Final = frozenset(
    {
        "work_directory", "password_file", "credentials_file", "ca_file", "file", "codec_ring", "steps_codec_ring", "certificate_file",
        "key_file", "api_ca_file", "objects_ca_file", "token_file", "node_path", "bootstrap_path",
    }
)  # fmt: skip
