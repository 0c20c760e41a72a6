# SPDX-License-Identifier: Apache-2.0
"""docker-compose.yml follows the compose specification, and each of our services' commands is one that this program has."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file, anchors and merges resolved."""
    loaded: dict[str, Any] = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())
    return loaded


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The compose specification's JSON schema, out of the pinned module in tools/compose."""
    go = shutil.which("go")
    if go is None:
        if os.environ.get("WAYBILL_REQUIRE_SERVERS") == "1":
            pytest.fail("Go is needed to fetch the compose specification's schema")
        pytest.skip("GO IS MISSING: the compose specification's schema cannot be fetched")
    module = "github.com/compose-spec/compose-go/v2"
    home = ROOT / "tools" / "compose"
    subprocess.run([go, "mod", "download", module], cwd=home, check=True, timeout=170, capture_output=True)
    found = subprocess.run([go, "list", "-m", "-f", "{{.Dir}}", module], cwd=home, check=True, timeout=60, capture_output=True, text=True)
    loaded: dict[str, Any] = json.loads((Path(found.stdout.strip()) / "schema" / "compose-spec.json").read_text())
    return loaded


def test_the_file_follows_the_specification(compose: dict[str, Any], schema: dict[str, Any]) -> None:
    """Every service, volume and secret has the form that the specification asks for."""
    jsonschema.Draft7Validator(schema).validate(compose)


def test_a_wrong_file_would_be_noticed(compose: dict[str, Any], schema: dict[str, Any]) -> None:
    """The schema bites: a service with an unknown member does not pass."""
    broken = {**compose, "services": {**compose["services"], "api": {**compose["services"]["api"], "imagge": "x"}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(broken)


def test_no_secret_and_no_default_credential_stands_in_it(compose: dict[str, Any]) -> None:
    """Passwords come from files only."""
    for name, service in compose["services"].items():
        environment = service.get("environment", {})
        named = environment if isinstance(environment, dict) else dict(entry.split("=", 1) for entry in environment)
        plain = [key for key in named if ("PASSWORD" in key or "SECRET" in key or "PWD" in key) and not key.endswith("_FILE")]
        assert not plain, f"{name}: {plain}"


def ours() -> list[tuple[str, list[str]]]:
    """Name and command of each service that runs our image."""
    loaded = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())
    return [
        (name, service["command"]) for name, service in loaded["services"].items() if str(service.get("image", "")).startswith("waybill:")
    ]


@pytest.mark.parametrize(("name", "command"), ours(), ids=[name for name, _ in ours()])
def test_each_of_our_services_starts_as_a_process(name: str, command: list[str], tmp_path: Path) -> None:
    """The command exists and reads the settings that it is told: without them it ends at once and names them, and nothing hangs."""
    program = [str(Path(sys.executable).parent / command[0]), *command[1:]] if command[0] != "python" else [sys.executable, *command[1:]]
    missing = tmp_path / "absent.toml"
    program = [str(missing) if part.startswith("/etc/waybill/") else part for part in program]
    ended = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode not in (0, -6, -11), f"{name}: {ended.stdout}{ended.stderr}"
    assert "absent.toml" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
