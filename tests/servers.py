# SPDX-License-Identifier: Apache-2.0
"""The real servers that tests and benches run against: the S3 server versitygw and the Temporal dev server.

Binaries come from PATH, else from ``.tools/`` of the clone (``make tools``). Each start takes free ports and a directory of its own,
and the server dies with the process that started it, even when that is killed.
A missing binary skips loudly, unless WAYBILL_REQUIRE_SERVERS=1: then it fails.
"""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.objects_s3 import S3Objects, S3Settings
from adapters.tls import KeyPair, client_context, issue_server_certificate, make_authority

_TOOLS = Path(__file__).resolve().parent.parent / ".tools"
_READY_SECONDS = 60.0
# Set in the child itself before it becomes the server, so that no preexec function runs in a process with threads.
_DIE_WITH_PARENT = """
import os, sys
parent = int(sys.argv[1])
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, 9)
except (AttributeError, OSError):
    pass
if os.getppid() != parent:
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """A running versitygw. ``ca_pem`` and ``ca_file`` are set when it speaks TLS."""

    endpoint: str
    port: int
    access_key: str
    secret_key: str
    directory: Path
    process: "subprocess.Popen[bytes]"
    ca_pem: str | None = None
    ca_file: str | None = None

    def settings(self, *, bucket: str = "waybill", public_url: str | None = None) -> S3Settings:
        """Settings of the adapter for ``bucket``; ``public_url`` when granted URLs go another way, as over a ``Wire``."""
        return S3Settings(
            endpoint=self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
            bucket=bucket,
            ca_file=self.ca_file,
            public_url=public_url,
        )

    def objects(self, *, bucket: str = "waybill", public_url: str | None = None) -> S3Objects:
        """The adapter on ``bucket``, which exists then."""
        objects = S3Objects(self.settings(bucket=bucket, public_url=public_url))
        objects.ensure_bucket()
        return objects


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalServer:
    """A running Temporal dev server with both namespaces of a site: ``namespace`` and ``steps_namespace``."""

    address: str
    namespace: str
    steps_namespace: str
    database: Path
    process: "subprocess.Popen[bytes]"


def find_server(name: str) -> Path:
    """The path of the server binary; without one the test is skipped, or fails under WAYBILL_REQUIRE_SERVERS=1."""
    on_path = shutil.which(name)
    for candidate in ([Path(on_path)] if on_path else []) + [_TOOLS / name]:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    reason = f"{name} IS MISSING: neither on PATH nor in .tools/; build it once with `make tools`"
    if os.environ.get("WAYBILL_REQUIRE_SERVERS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def free_port() -> int:
    """A port that was free a moment ago on 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def throw_away_tls(*, hosts: Sequence[str] = ("127.0.0.1", "localhost")) -> tuple[KeyPair, KeyPair]:
    """A new authority and a server certificate from it."""
    now = datetime.now(UTC)
    authority = make_authority(name="Waybill test authority", now=now)
    return authority, issue_server_certificate(authority, hosts=hosts, now=now)


@contextlib.contextmanager
def run_versitygw(*, tls: bool = False, directory: Path | None = None) -> Iterator[S3Server]:
    """A versitygw on a free port with new credentials; its data lies in ``directory``, or in one that is removed at the end."""
    binary = find_server("versitygw")
    with _home(directory) as home:
        data = home / "data"
        data.mkdir(exist_ok=True)
        port = free_port()
        command = [str(binary), "--port", f"127.0.0.1:{port}", "--quiet", "--keep-alive", "--health", "/healthz"]
        ca_pem = ca_file = None
        if tls:
            ca_pem, ca_file, extra = _write_tls(home)
            command += extra
        command += ["posix", *_sidecar(home), str(data)]
        access_key, secret_key = f"test{secrets.token_hex(6)}", secrets.token_hex(20)
        endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        keys = {"ROOT_ACCESS_KEY": access_key, "ROOT_SECRET_KEY": secret_key}
        with _running(command, log=home / "versitygw.log", extra_environment=keys) as process:
            _await(process, home / "versitygw.log", lambda: _answers(f"{endpoint}/healthz", ca_pem))
            yield S3Server(
                endpoint=endpoint,
                port=port,
                access_key=access_key,
                secret_key=secret_key,
                directory=data,
                process=process,
                ca_pem=ca_pem,
                ca_file=ca_file,
            )


@contextlib.contextmanager
def run_temporal(
    *, namespace: str = "site-test", directory: Path | None = None, port: int | None = None, extra: Sequence[str] = ()
) -> Iterator[TemporalServer]:
    """A Temporal dev server with ``namespace`` and ``namespace-steps``; ready for work, with timers as short as tests need them.

    Args:
        directory: keeps the database, so that a second start there goes on where the first one died.
        port: for such a second start at the same address.
        extra: further flags of ``temporal server start-dev``.
    """
    binary = find_server("temporal")
    with _home(directory) as home:
        listen = port or free_port()
        steps = f"{namespace}-steps"
        command = [str(binary), *_temporal_flags(port=listen, database=home / "temporal.sqlite", namespaces=(namespace, steps)), *extra]
        with _running(command, log=home / "temporal.log") as process:
            address = f"127.0.0.1:{listen}"
            for name in (namespace, steps):
                _await(process, home / "temporal.log", lambda name=name: _namespace_answers(binary, address, name))  # type: ignore[misc]
            yield TemporalServer(
                address=address, namespace=namespace, steps_namespace=steps, database=home / "temporal.sqlite", process=process
            )


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """The real S3 server over plain HTTP, one for the whole session; take a bucket of your own."""
    with run_versitygw() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server_tls() -> Iterator[S3Server]:
    """The real S3 server over TLS, one for the whole session; take a bucket of your own."""
    with run_versitygw(tls=True) as server:
        yield server


@pytest.fixture(scope="session")
def temporal_server() -> Iterator[TemporalServer]:
    """The real Temporal dev server, one for the whole session; take queues and workflow ids of your own."""
    with run_temporal() as server:
        yield server


def _temporal_flags(*, port: int, database: Path, namespaces: Sequence[str]) -> list[str]:
    flags = ["server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port), "--http-port", str(free_port())]
    flags += ["--metrics-port", str(free_port()), "--db-filename", str(database), "--log-level", "error", "--log-format", "json"]
    flags += ["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=OFF"]
    for namespace in namespaces:
        flags += ["--namespace", namespace]
    for setting in (
        "history.maxTotalUpdates=2000",
        "history.transferProcessorMaxPollRPS=2000",
        "history.timerProcessorMaxPollRPS=2000",
        'history.timerProcessorMaxTimeShift="10ms"',
    ):
        flags += ["--dynamic-config-value", setting]
    return flags


@contextlib.contextmanager
def _home(directory: Path | None) -> Iterator[Path]:
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        yield directory.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="waybill-server-", ignore_cleanup_errors=True) as made:
        yield Path(made).resolve()


@contextlib.contextmanager
def _running(
    command: Sequence[str], *, log: Path, extra_environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """The process, in a session of its own; killed at the end, and by the kernel when this process dies."""
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(extra_environment or {})},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _await(process: "subprocess.Popen[bytes]", log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2000:]
            pytest.fail(f"the server did not become ready (exit code {process.poll()}):\n{tail}", pytrace=False)
        time.sleep(0.03)


def _answers(url: str, ca_pem: str | None) -> bool:
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if ca_pem is not None:
        handlers.append(urllib.request.HTTPSHandler(context=client_context(ca_pem)))
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _namespace_answers(binary: Path, address: str, namespace: str) -> bool:
    command = [str(binary), "operator", "namespace", "describe", "--address", address, "--namespace", namespace]
    return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0


def _write_tls(home: Path) -> tuple[str, str, list[str]]:
    authority, server = throw_away_tls()
    for name, text in (("ca.pem", authority.certificate_pem), ("server.pem", server.certificate_pem), ("server.key", server.key_pem)):
        (home / name).write_text(text)
    (home / "server.key").chmod(0o600)
    return authority.certificate_pem, str(home / "ca.pem"), ["--cert", str(home / "server.pem"), "--key", str(home / "server.key")]


def _sidecar(home: Path) -> list[str]:
    """Where the file system has no extended attributes, versitygw keeps its metadata in a directory beside."""
    probe = home / "xattr-probe"
    probe.touch()
    try:
        os.setxattr(probe, "user.waybill", b"1")
    except (OSError, AttributeError):
        (home / "sidecar").mkdir(exist_ok=True)
        return ["--sidecar", str(home / "sidecar")]
    finally:
        probe.unlink()
    return []
