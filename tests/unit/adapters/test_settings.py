# SPDX-License-Identifier: Apache-2.0
"""Settings come from one file; contradictions and secrets in the wrong place stop the start, with the remedy in the message."""

from pathlib import Path

import pytest

from adapters.settings import load_machine_settings, load_settings
from waybill.errors import FormatError

SITE = """
name = "Brisbane"
work_directory = "work"
[database]
url = "sqlite:////var/lib/waybill/site.db"
[objects]
endpoint = "http://127.0.0.1:7070"
bucket = "waybill"
credentials_file = "s3.json"
[keys]
file = "keys.json"
codec_ring = "ring.json"
steps_codec_ring = "steps-ring.json"
[engine]
address = "127.0.0.1:7233"
namespace = "site"
steps_namespace = "site-steps"
"""

MACHINE = """
name = "web01"
work_directory = "work"
api_url = "https://waybill.example"
token_file = "token"
codec_ring = "ring.json"
engine_address = "127.0.0.1:7233"
steps_namespace = "site-steps"
node_path = "node"
bootstrap_path = "bootstrap.cjs"
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with every file that settings may name, secret ones readable by their owner only."""
    for name in ("s3.json", "keys.json", "ring.json", "steps-ring.json", "token", "node", "bootstrap.cjs", "tls.pem", "tls.key"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o600)
    return tmp_path


def write(directory: Path, text: str) -> Path:
    """The settings file."""
    path = directory / "site.toml"
    path.write_text(text)
    return path


def refusal(path: Path) -> str:
    """The whole text of a refusal."""
    with pytest.raises(FormatError) as refused:
        load_settings(path)
    assert refused.value.code == "settings.invalid"
    return str(refused.value)


def test_a_site_is_read_with_paths_from_its_own_directory(directory: Path) -> None:
    """Relative paths count from the file, so a process may be started from anywhere."""
    settings = load_settings(write(directory, SITE))
    assert settings.objects.credentials_file == directory / "s3.json"
    assert settings.work_directory == directory / "work"
    assert settings.peers.outbound == "any"


def test_the_environment_changes_nothing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable named like a setting is not read."""
    monkeypatch.setenv("NAME", "Evil")
    monkeypatch.setenv("PEERS__OUTBOUND", "none")
    settings = load_settings(write(directory, SITE))
    assert (settings.name, settings.peers.outbound) == ("Brisbane", "any")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('steps_namespace = "site-steps"', 'steps_namespace = "site"', "must differ"),
        ('steps_codec_ring = "steps-ring.json"', 'steps_codec_ring = "ring.json"', "three different files"),
        ('address = "127.0.0.1:7233"', 'address = "temporal.example:7233"', "needs [engine.tls]"),
        ("sqlite:////var/lib/waybill/site.db", "postgresql://waybill:hunter2@db/waybill", "must hold no password"),
        ("http://127.0.0.1:7070", "http://store.example", "give an https:// URL"),
        ("http://127.0.0.1:7070", "https://key:secret@store.example", "credentials file"),
        ('bucket = "waybill"', 'bucket = "waybill"\ncredentials = "AKIA"', "objects.credentials"),
        ('"s3.json"', '"absent.json"', "no such file"),
        ('name = "Brisbane"', 'nmae = "Brisbane"', "settings.invalid"),
        ("[database]", '[api]\nbind = "0.0.0.0:443"\n[database]', "without TLS"),
        ("[database]", '[api]\ncertificate_file = "tls.pem"\n[database]', "go together"),
        ("[database]", '[api]\npublic_url = "https://waybill.example"\n[database]', "give objects.public_url"),
        ("[database]", '[peers]\noutbound = "some"\n[database]', "peers.outbound"),
    ],
)
def test_a_contradiction_stops_the_start(directory: Path, old: str, new: str, expected: str) -> None:
    """The message names the setting and what to do, and never a secret."""
    assert old in SITE
    text = refusal(write(directory, SITE.replace(old, new)))
    assert expected in text
    assert "hunter2" not in text
    assert "AKIA" not in text


def test_a_secret_file_that_others_can_read_is_refused(directory: Path) -> None:
    """With the command that repairs it."""
    (directory / "keys.json").chmod(0o640)
    text = refusal(write(directory, SITE))
    assert "keys.file" in text
    assert "chmod 600" in text


@pytest.mark.parametrize("text", ["name = ", "\x00", "[database\n"])
def test_a_file_that_is_not_toml_is_refused(directory: Path, text: str) -> None:
    """And nothing else escapes."""
    assert "is not TOML" in refusal(write(directory, text))


def test_an_absent_file_says_how_to_name_one(tmp_path: Path) -> None:
    """With the option."""
    assert "--settings" in refusal(tmp_path / "absent.toml")


def test_a_machine_has_no_place_for_what_belongs_to_the_site(directory: Path) -> None:
    """Its file takes neither a database nor a store nor a key of the Space."""
    load_machine_settings(write(directory, MACHINE))
    for section in ('[database]\nurl = "x"', '[objects]\nbucket = "waybill"', '[keys]\nfile = "keys.json"'):
        with pytest.raises(FormatError, match=r"settings\.invalid"):
            load_machine_settings(write(directory, f"{MACHINE}\n{section}\n"))
