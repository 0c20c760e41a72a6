# SPDX-License-Identifier: Apache-2.0
"""The API as a process: one settings file, TLS, a clean end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from adapters import keys_file
from adapters.codec import write_key_ring
from adapters.tls import client_context, issue_server_certificate, make_authority


def write_site(directory: Path, database: str, port: int) -> tuple[Path, str]:
    """A settings file with all that it names; nothing else of the site runs. Returns it and the authority (PEM)."""
    now = datetime.now(UTC)
    authority = make_authority(name="Test", now=now)
    server = issue_server_certificate(authority, hosts=["127.0.0.1"], now=now)
    secret = {"server.key": server.key_pem, "objects.json": json.dumps({"access_key": "access", "secret_key": "canary-secret"})}
    for name, text in secret.items():
        (directory / name).touch(mode=0o600)
        (directory / name).write_text(text)
    (directory / "server.pem").write_text(server.certificate_pem)
    keys_file.generate(directory / "keys.json")
    write_key_ring(directory / "ring.json")
    write_key_ring(directory / "steps-ring.json")
    settings = directory / "site.toml"
    settings.write_text(
        f"""
name = "test"
work_directory = "work"
[database]
url = "{database}"
[objects]
endpoint = "http://127.0.0.1:9"
public_url = "http://127.0.0.1:9"
bucket = "waybill"
credentials_file = "objects.json"
[keys]
file = "keys.json"
codec_ring = "ring.json"
steps_codec_ring = "steps-ring.json"
[engine]
address = "127.0.0.1:9"
namespace = "waybill"
steps_namespace = "waybill-steps"
[api]
bind = "127.0.0.1:{port}"
public_url = "https://127.0.0.1:{port}"
certificate_file = "server.pem"
key_file = "server.key"
"""
    )
    return settings, authority.certificate_pem


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def served(tmp_path: Path, sqlite_url: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx2.Client]]:
    """The running process and a client that trusts its authority alone."""
    port = free_port()
    settings, authority = write_site(tmp_path, sqlite_url, port)
    command = [sys.executable, "-m", "api", "--settings", str(settings)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=Path(__file__).parents[2], env={"PATH": os.environ["PATH"]}, stdout=log, stderr=log)
    with httpx2.Client(base_url=f"https://127.0.0.1:{port}", verify=client_context(authority), timeout=30) as client:
        try:
            wait(client, process, tmp_path / "log")
            yield process, client
        finally:
            process.kill()
            process.wait()
    assert "canary-secret" not in (tmp_path / "log").read_text()


def wait(client: httpx2.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    """Nothing, when the process answers."""
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            client.get("/livez")
            return
        except httpx2.TransportError:
            time.sleep(0.1)
    raise AssertionError("the API did not answer")


def test_it_serves_over_tls_and_ends_cleanly(served: tuple[subprocess.Popen[bytes], httpx2.Client]) -> None:
    """Alive at once, not ready while its servers are away, nothing for the unknown, and exit code 0 on SIGTERM."""
    process, client = served
    assert client.get("/livez").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (503, {"status": "unavailable"})
    unknown = client.get("/api/v1/spaces")
    assert unknown.status_code == 401
    assert "server" not in unknown.headers
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("text", ["", "name = ", 'name = "x"\nunknown = 1\n'])
def test_wrong_settings_are_named(tmp_path: Path, text: str) -> None:
    """Exit code 2 and one sentence that names the setting."""
    settings = tmp_path / "site.toml"
    settings.write_text(text)
    command = [sys.executable, "-m", "api", "--settings", str(settings)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], env={"PATH": os.environ["PATH"]}, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert done.stderr.decode().startswith("settings.invalid")
