# SPDX-License-Identifier: Apache-2.0
"""What tests of steps need: the built workspace, a store, a host, and one call that runs a step."""

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from adapters.node_host import Listener, NodeHost, NodeSettings
from adapters.step_cache import StepCache
from tests.steps.packing import Store
from waybill.domain.deployments import RunState
from waybill.domain.ids import JsonValue
from waybill.domain.steps import OrderPackage, StepLine, StepOrder, StepOutcome
from waybill.steps.manifest import read_package

STEPS = Path(__file__).resolve().parents[2] / "steps"
_SOURCES = ("*.ts", "*.mjs", "*.json", "*.md")


@pytest.fixture(scope="session")
def dist() -> Path:
    """``steps/dist``, built by npm when it is absent or older than a source."""
    with (STEPS / ".npmrc").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes want it at once
        built = STEPS / "dist" / "bootstrap.cjs"
        if not built.exists() or built.stat().st_mtime < _newest_source():
            for command in (["npm", "ci"], ["npm", "run", "build"]):
                subprocess.run(command, cwd=STEPS, check=True, capture_output=True, timeout=170)
    return STEPS / "dist"


def _newest_source() -> float:
    members = [STEPS / name for name in ("sdk", "bootstrapper", "packages", "tools")]
    sources = [STEPS / "package-lock.json", *(path for member in members for pattern in _SOURCES for path in member.rglob(pattern))]
    return max(path.stat().st_mtime for path in sources if "node_modules" not in path.parts and "test" not in path.parts)


@pytest.fixture
def store() -> Iterator[Store]:
    """An HTTP server for package bytes."""
    made = Store()
    yield made
    made.close()


@pytest.fixture
def settings(dist: Path, tmp_path: Path) -> NodeSettings:
    """A host with short patience. The Python of the tests stands first on the steps' path."""
    node = shutil.which("node")
    assert node is not None
    return NodeSettings(
        node=Path(node),
        bootstrapper=dist / "bootstrap.cjs",
        work_directory=tmp_path / "work",
        search_path=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        grace_s=1.0,
        kill_after_s=0.5,
        linger_s=0.5,
    )


@dataclass
class Ran:
    """How a run ended and what was told while it ran."""

    outcome: StepOutcome
    lines: list[StepLine] = field(default_factory=list)
    progress: list[tuple[float, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(line.message for line in self.lines)

    def at(self, level: str) -> list[str]:
        """The lines of one level."""
        return [line.message for line in self.lines if line.level == level]


@dataclass
class Bench:
    """Runs step packages under one host."""

    store: Store
    settings: NodeSettings
    cache: StepCache

    def order(
        self, step: bytes, inputs: Mapping[str, JsonValue] | None = None, *, masks: tuple[str, ...] = (),
        packages: Mapping[str, tuple[str, bytes]] | None = None, timeout_s: int = 60, variables: Mapping[str, str] | None = None,
    ) -> StepOrder:  # fmt: skip
        """An order for ``step``, whose bytes and packages the store then serves. ``packages`` maps reference names to file name and bytes."""
        manifest = read_package(step)
        digest = self.store.put(step)
        return StepOrder(
            run_id="run_0198c5f2a4b87d6e9a3f1c2b4d5e6f70",
            package_url=f"{self.store.url}/{digest}",
            package_sha256=digest,
            package_size=len(step),
            package_id=manifest.id,
            package_version=manifest.version,
            inputs=dict(inputs or {}),
            masks=masks,
            packages=tuple(
                OrderPackage(
                    ref_name=name, id=name, version="1.0.0", sha256=(sha256 := self.store.put(data)), size=len(data),
                    url=f"{self.store.url}/{sha256}", filename=filename,
                )
                for name, (filename, data) in (packages or {}).items()
            ),
            deployment={"environment": "Test"},
            timeout_s=timeout_s,
            idempotency_key="dep:act:mch",
            variables=dict(variables or {}),
        )  # fmt: skip

    async def run(
        self,
        order: StepOrder,
        *,
        cancelled: asyncio.Event | None = None,
        on_line: Callable[[StepLine], None] | None = None,
        **changes: float | int,
    ) -> Ran:
        """``order`` run to its end, under settings changed by ``changes``."""
        ran = Ran(outcome=StepOutcome(state=RunState.QUEUED))

        def take(line: StepLine) -> None:
            ran.lines.append(line)
            if on_line:
                on_line(line)

        listener = Listener(on_line=take, on_progress=lambda percent, message: ran.progress.append((percent, message)))
        host = NodeHost(replace(self.settings, **changes), self.cache)  # type: ignore[arg-type]
        ran.outcome = await host.run(order, listener=listener, cancelled=cancelled or asyncio.Event())
        assert list(self.settings.work_directory.iterdir()) == [], "the run's directory is gone"
        return ran


@pytest.fixture
def bench(store: Store, settings: NodeSettings, tmp_path: Path) -> Bench:
    """A store, a cache and a host."""
    return Bench(store=store, settings=settings, cache=StepCache(tmp_path / "cache"))


@pytest.fixture
def first_party(dist: Path) -> Callable[[str], bytes]:
    """The built zip of one of our packages, by id."""

    def read(package_id: str) -> bytes:
        (found,) = (dist / "packages").glob(f"{package_id}.*.zip")
        return found.read_bytes()

    return read
