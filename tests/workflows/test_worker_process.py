# SPDX-License-Identifier: Apache-2.0
"""``python -m worker`` as a process: checks what it needs, says what is wrong, works, and ends when it is told to."""

import asyncio
import base64
import json
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adapters import keys_file
from adapters.codec import make_converter, read_key_ring, write_key_ring
from adapters.temporal import connect
from tests.servers import S3Server, TemporalServer, free_port
from waybill.domain.stories import CONTROL_QUEUE, CourierInput

pytestmark = pytest.mark.server


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """A worker process that ends by itself."""
    return subprocess.run([sys.executable, "-m", "worker", *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def settings(tmp_path: Path, engine_server: TemporalServer, s3_server: S3Server, sqlite_template: Path) -> Path:
    """A settings file of a site whose servers all answer."""
    shutil.copy(sqlite_template, tmp_path / "site.db")
    (tmp_path / "site.db").chmod(0o600)
    s3_server.objects(bucket="worker-test")
    (tmp_path / "s3.json").write_text(json.dumps({"access_key": s3_server.access_key, "secret_key": s3_server.secret_key}))
    (tmp_path / "s3.json").chmod(0o600)
    keys_file.generate(tmp_path / "keys.json")
    write_key_ring(tmp_path / "ring.json")
    write_key_ring(tmp_path / "steps-ring.json")
    path = tmp_path / "site.toml"
    path.write_text(
        f"""
name = "Brisbane"
work_directory = "work"
[database]
url = "sqlite:///{tmp_path}/site.db"
[objects]
endpoint = "{s3_server.endpoint}"
bucket = "worker-test"
credentials_file = "s3.json"
[keys]
file = "keys.json"
codec_ring = "ring.json"
steps_codec_ring = "steps-ring.json"
[engine]
address = "{engine_server.address}"
namespace = "{engine_server.namespace}"
steps_namespace = "{engine_server.steps_namespace}"
"""
    )
    return path


@pytest.mark.parametrize("role", ["control", "transfer"])
def test_a_check_with_everything_there_ends_well(settings: Path, role: str) -> None:
    """Exit code 0, and nothing on standard error but log lines."""
    done = run("--role", role, "--settings", str(settings), "--check")
    assert done.returncode == 0, done.stderr


def test_wrong_settings_stop_the_start_with_a_remedy(settings: Path) -> None:
    """Exit code 2, the setting named, no traceback."""
    settings.write_text(settings.read_text().replace('bucket = "worker-test"', 'bucket = "worker-test"\npassword = "hunter2"'))
    done = run("--role", "control", "--settings", str(settings), "--check")
    assert done.returncode == 2
    assert "objects.password" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_an_absent_engine_is_named(settings: Path, engine_server: TemporalServer) -> None:
    """Exit code 3 after some seconds of trying."""
    settings.write_text(settings.read_text().replace(engine_server.address, f"127.0.0.1:{free_port()}"))
    done = run("--role", "control", "--settings", str(settings), "--check")
    assert done.returncode == 3
    assert "engine.unavailable" in done.stderr


def test_a_machine_without_a_key_is_refused(tmp_path: Path, engine_server: TemporalServer) -> None:
    """Its token must be one that the site gave out; its content is not repeated."""
    (tmp_path / "token").write_text("hunter2")
    (tmp_path / "token").chmod(0o600)
    write_key_ring(tmp_path / "ring.json")
    (tmp_path / "bootstrap.cjs").write_text("")
    path = tmp_path / "machine.toml"
    path.write_text(machine_settings(engine_server))
    done = run("--role", "steps", "--settings", str(path), "--check")
    assert done.returncode == 2
    assert "register the machine" in done.stderr
    assert "hunter2" not in done.stderr


def test_a_machine_checks_its_node(tmp_path: Path, engine_server: TemporalServer) -> None:
    """A machine needs the steps namespace and a usable Node, and nothing else of the site."""
    if shutil.which("node") is None:
        pytest.skip("NODE IS MISSING on PATH")
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    (tmp_path / "token").write_text(f"wbm_spc_{'0' * 32}_mch_{'1' * 32}_{key}")
    (tmp_path / "token").chmod(0o600)
    write_key_ring(tmp_path / "ring.json")
    (tmp_path / "bootstrap.cjs").write_text("")
    path = tmp_path / "machine.toml"
    path.write_text(machine_settings(engine_server))
    done = run("--role", "steps", "--settings", str(path), "--check")
    assert done.returncode == 0, done.stderr


async def test_a_worker_works_until_it_is_told_to_end(settings: Path, engine_server: TemporalServer) -> None:
    """It runs a story to its end; SIGTERM then ends it with exit code 0."""
    process = start_control(settings)
    try:
        converter = make_converter(read_key_ring(settings.parent / "ring.json"), namespace=engine_server.namespace)
        client = await connect(engine_server.address, namespace=engine_server.namespace, converter=converter, wait_seconds=30)
        given = CourierInput(space_id="spc_none", trust_id="trs_none")
        handle = await client.start_workflow("Courier", given, id=f"courier:{secrets.token_hex(4)}", task_queue=CONTROL_QUEUE)
        assert (await asyncio.wait_for(handle.result(), 40))["state"] == "succeeded"
        process.send_signal(signal.SIGTERM)
        _, said = await asyncio.to_thread(process.communicate, None, 30)
    finally:
        process.kill()
    assert process.returncode == 0, said
    events = [json.loads(line)["event"] for line in said.splitlines() if line.startswith("{")]
    assert events[0] == "worker.started"
    assert events[-1] == "worker.stopped"


def start_control(settings: Path) -> "subprocess.Popen[str]":
    """A control worker that goes on."""
    command = [sys.executable, "-m", "worker", "--role", "control", "--settings", str(settings)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def machine_settings(server: TemporalServer) -> str:
    """The settings file of a machine."""
    return f"""
name = "web01"
work_directory = "work"
api_url = "https://127.0.0.1:8443"
token_file = "token"
codec_ring = "ring.json"
engine_address = "{server.address}"
steps_namespace = "{server.steps_namespace}"
node_path = "{shutil.which("node") or sys.executable}"
bootstrap_path = "bootstrap.cjs"
"""
