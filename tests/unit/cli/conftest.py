# SPDX-License-Identifier: Apache-2.0
"""A site in memory that answers over TLS, and command lines at it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.settings import ApiSettings
from tests.api.world import PASSWORD, make_world
from tests.unit.cli.runner import CommandLine, Served, serve


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One site for all tests of the command line: the Spaces ``devtest`` and ``elsewhere``, and the administrator ``ada``."""
    world = make_world(settings=ApiSettings(events_poll_seconds=0.01, key_burst=10**9))
    with serve(world, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Somebody who has never signed in anywhere."""
    return CommandLine(config=tmp_path / "config" / "waybill.toml", monkeypatch=monkeypatch)


@pytest.fixture(scope="session")
def signed_in_config(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of ada after one sign-in, in the Space ``devtest``."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        ada = CommandLine(config=tmp_path_factory.mktemp("ada") / "waybill.toml", monkeypatch=monkeypatch)
        login = ("--ca", str(served.ca), "--space", "devtest", "login", served.url, "--username", "ada", "--password-stdin")
        ended = ada(*login, stdin=PASSWORD + "\n")
        assert ended.code == 0, ended.err
    return ada.config


@pytest.fixture
def waybill(signed_in_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line of ada, signed in, with a configuration of this test's own."""
    config = tmp_path / "waybill.toml"
    config.write_bytes(signed_in_config.read_bytes())
    return CommandLine(config=config, monkeypatch=monkeypatch)
