# SPDX-License-Identifier: Apache-2.0
"""Runs one attempt of one step in Node and says how it ended.

The step gets its inputs over a private pipe, an environment of named entries only, an empty standard input, and a directory of its own that
is HOME, TMPDIR and working directory at once and is removed afterwards. What it prints is masked before anybody sees it.
It is ended with everything it started: when it is done, out of time, cancelled, or when this worker dies.
Not a boundary against hostile code: a step runs as the worker's own user, with the machine's network and files.
"""

import asyncio
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from adapters.step_cache import StepCache
from adapters.step_process import StepProcess
from waybill.domain.deployments import RunState
from waybill.domain.ids import JsonValue
from waybill.domain.steps import StepLine, StepOrder, StepOutcome
from waybill.errors import FormatError, StepError, UnavailableError, WaybillError
from waybill.steps.inputs import check, coerce
from waybill.steps.manifest import StepPackageManifest
from waybill.steps.protocol import Done, Frames, Mask, Progress, encode_ack, encode_cancel, encode_init
from waybill.steps.record import MAX_LOG_BYTES, Ended, RunRecord, Said, Stopped

ALLOWED_ENVIRONMENT: Final = frozenset(
    {
        "LANG",
        "TZ",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "NODE_EXTRA_CA_CERTS",
        "NODE_USE_ENV_PROXY",
    }
)
MIN_NODE: Final = (20, 15)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """How a machine runs steps.

    ``node`` and ``bootstrapper`` are absolute files. ``work_directory`` belongs to this worker alone. ``search_path`` is the steps' PATH.
    ``environment`` may hold names of ``ALLOWED_ENVIRONMENT`` only. After ``grace_s`` a cancelled step is asked to end, after further
    ``kill_after_s`` it is ended; one that is done may linger for ``linger_s``. ``data_limit_bytes`` 0 means no limit.
    """

    node: Path
    bootstrapper: Path
    work_directory: Path
    search_path: str = "/usr/local/bin:/usr/bin:/bin"
    environment: Mapping[str, str] = field(default_factory=dict)
    grace_s: float = 10.0
    kill_after_s: float = 5.0
    linger_s: float = 5.0
    old_space_mb: int = 512
    data_limit_bytes: int = 1024**3
    max_log_bytes: int = MAX_LOG_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Whom a run tells. Called on the event loop; must return at once. ``on_life`` follows every frame, at least every 5 s of a healthy step."""

    on_line: Callable[[StepLine], None]
    on_life: Callable[[], None] = lambda: None
    on_progress: Callable[[float, str], None] = lambda _percent, _message: None


class NodeHost:
    """Runs steps; one instance serves any number of runs at once.

    Raises:
        ValueError: when ``settings.environment`` holds a name that is not allowed, or a path is not absolute.
    """

    def __init__(self, settings: NodeSettings, cache: StepCache) -> None:
        if wrong := set(settings.environment) - ALLOWED_ENVIRONMENT:
            raise ValueError(f"steps may not get {sorted(wrong)} from the environment")
        if not all(path.is_absolute() for path in (settings.node, settings.bootstrapper, settings.work_directory)):
            raise ValueError("the paths of a step host must be absolute")
        self._settings = settings
        self._cache = cache
        settings.work_directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def check(self) -> str:
        """The version of a usable Node, such as ``v22.1.0``.

        Raises:
            UnavailableError: node.unavailable, when it does not run, is too old, or the bootstrapper is absent.
        """
        needed = ".".join(map(str, MIN_NODE))
        try:
            process = await asyncio.create_subprocess_exec(
                str(self._settings.node), "--version",
                stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL, env={"PATH": self._settings.search_path},
            )  # fmt: skip
            version = (await process.communicate())[0].decode("ascii", "replace").strip()
            found = tuple(int(part) for part in version.removeprefix("v").split(".")[:2])
        except (OSError, ValueError) as error:
            raise UnavailableError("node.unavailable", "Node does not start", expected=f"Node {needed} or later") from error
        if found < MIN_NODE or not self._settings.bootstrapper.is_file():
            raise UnavailableError(
                "node.unavailable", "Node is too old or the bootstrapper is absent", expected=f"Node {needed} or later", found=version
            )
        return version

    def sweep(self) -> None:
        """What runs of a killed worker left behind is gone. Only when no run is under way."""
        for left in self._settings.work_directory.iterdir():
            _remove(left)

    async def run(self, order: StepOrder, *, listener: Listener, cancelled: asyncio.Event) -> StepOutcome:
        """How the step ended; nothing that it started runs any more.

        Args:
            order: as claimed; its secrets are masked in all that is told to ``listener`` and in the outcome.
            cancelled: set by the caller to end the step: first asked, then ended.
        """
        record = RunRecord(order.masks, max_log_bytes=self._settings.max_log_bytes)
        used: list[str] = []
        try:
            prepared = await asyncio.to_thread(self._prepare, order, used, cancelled.is_set)
            return await _Run(self._settings, order, prepared, record, listener).go(cancelled)
        except WaybillError as error:
            state = RunState.CANCELLED if error.code == "step.cancelled" else RunState.ERRORED
            return StepOutcome(state=state, code=error.code, message=record.masker.mask(str(error)))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            return StepOutcome(state=RunState.ERRORED, code="step.errored", message=f"The machine could not run the step: {reason}")
        finally:
            for sha256 in used:
                self._cache.release(sha256)

    def _prepare(self, order: StepOrder, used: list[str], is_cancelled: Callable[[], bool]) -> "_Prepared":
        """Step package and packages are here and are what the order names; the inputs fit the step package's schema."""
        zip_file = self._cache.fetch(
            url=order.package_url,
            sha256=order.package_sha256,
            size_bytes=order.package_size,
            ca_pem=order.ca_pem,
            is_cancelled=is_cancelled,
        )
        used.append(order.package_sha256)
        directory, manifest = self._cache.unpack(zip_file, filename=f"{order.package_id}.{order.package_version}.zip")
        if (manifest.id, manifest.version) != (order.package_id, order.package_version):
            raise FormatError(
                "step.package_invalid", "the step package is another one", expected=f"{order.package_id} {order.package_version}"
            )
        inputs = coerce(order.inputs, manifest.inputs_schema)
        for fault in check(inputs, manifest.inputs_schema):
            raise StepError("process.invalid", fault.message, field=fault.pointer, expected=fault.expected)
        packages: dict[str, JsonValue] = {}
        for each in order.packages:
            path = self._cache.fetch(url=each.url, sha256=each.sha256, size_bytes=each.size, ca_pem=order.ca_pem, is_cancelled=is_cancelled)
            used.append(each.sha256)
            packages[each.ref_name] = {
                "id": each.id, "version": each.version, "filename": each.filename, "packagePath": str(path), "hash": each.sha256,
            }  # fmt: skip
        return _Prepared(directory=directory, manifest=manifest, inputs=inputs, packages=packages)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    directory: Path
    manifest: StepPackageManifest
    inputs: JsonValue
    packages: dict[str, JsonValue]


class _Run:
    """One process, from start to its last line."""

    def __init__(self, settings: NodeSettings, order: StepOrder, prepared: _Prepared, record: RunRecord, listener: Listener) -> None:
        self._settings = settings
        self._order = order
        self._prepared = prepared
        self._record = record
        self._listener = listener
        self._nonce = secrets.token_hex(16)
        self._frames = Frames(self._nonce)
        self._done = asyncio.Event()
        self._broken = asyncio.Event()
        self._process: StepProcess | None = None
        self._timeout_s = min(order.timeout_s, prepared.manifest.timeouts.max_seconds)

    async def go(self, cancelled: asyncio.Event) -> StepOutcome:
        """The outcome. When this task itself is cancelled, the step is ended at once and nothing is told."""
        init = encode_init(self._init(), nonce=self._nonce)
        directory = Path(tempfile.mkdtemp(prefix="run-", dir=self._settings.work_directory))
        try:
            self._process = await self._start(directory)
            stopped, complete = None, False
            try:
                self._process.write(init)
                stopped = await self._follow(self._process, cancelled)
            finally:
                complete = await _to_the_end(self._process.close())
            self._tell(self._record.end())
            ended = Ended(exit_code=self._process.ended.result(), stopped=stopped, complete=complete)
            return self._record.outcome(ended, timeout_s=self._timeout_s)
        finally:
            await _to_the_end(asyncio.to_thread(_remove, directory))

    async def _start(self, directory: Path) -> StepProcess:
        settings = self._settings
        return await StepProcess.start(
            [str(settings.node), f"--max-old-space-size={settings.old_space_mb}", str(settings.bootstrapper)],
            environment={
                "LANG": "C.UTF-8", **settings.environment, "PATH": settings.search_path,
                "HOME": str(directory), "TMPDIR": str(directory), "AWS_EC2_METADATA_DISABLED": "true",
            },
            directory=directory,
            data_limit_bytes=settings.data_limit_bytes,
            on_frames=self._on_frames,
            on_stdout=lambda chunk: self._tell(self._record.raw("stdout", chunk)),
            on_stderr=lambda chunk: self._tell(self._record.raw("stderr", chunk)),
        )  # fmt: skip

    def _init(self) -> dict[str, JsonValue]:
        order, prepared = self._order, self._prepared
        deadline = datetime.now(UTC) + timedelta(seconds=self._timeout_s)
        return {
            "runId": order.run_id,
            "package": {
                "dir": str(prepared.directory), "id": order.package_id, "version": order.package_version,
                "apiVersions": dict(prepared.manifest.api_versions),
            },
            "command": "execute",
            "inputs": prepared.inputs,
            "target": None,
            "variables": dict(order.variables),
            "packages": prepared.packages,
            "deployment": order.deployment,
            "deadline": deadline.isoformat(timespec="milliseconds"),
            "attempt": order.attempt,
            "idempotencyKey": order.idempotency_key,
        }  # fmt: skip

    async def _follow(self, process: StepProcess, cancelled: asyncio.Event) -> Stopped | None:
        """Returns when the step process has ended, or was told to for the last time; says why it was stopped, if it was."""
        first = await _first(process.ended, self._done, self._broken, cancelled, timeout_s=self._timeout_s)
        if first is process.ended:
            return None
        if first is self._done:
            return await self._linger(process)
        if first is self._broken:
            process.kill()
            await process.ended
            return Stopped.PROTOCOL
        reason = Stopped.CANCELLED if first is cancelled else Stopped.TIMEOUT
        self._tell(
            self._record.note("warning", "The step is asked to end: " + ("it was cancelled" if first is cancelled else "its time is over"))
        )
        process.write(encode_cancel(reason.value, grace_ms=int(self._settings.grace_s * 1000)))
        if await _first(process.ended, self._done, self._broken, timeout_s=self._settings.grace_s) is self._done:
            await _first(process.ended, timeout_s=min(1.0, self._settings.linger_s))
        if not process.ended.done():
            process.terminate()
            await _first(process.ended, timeout_s=self._settings.kill_after_s)
        process.kill()
        await process.ended
        return reason

    async def _linger(self, process: StepProcess) -> Stopped | None:
        """A step that is done ends by itself soon, or is ended."""
        if await _first(process.ended, timeout_s=self._settings.linger_s) is process.ended:
            return None
        self._tell(self._record.note("warning", "The step is done but its process stays open; it is ended now"))
        process.kill()
        await process.ended
        return Stopped.LINGERED

    def _on_frames(self, chunk: bytes) -> None:
        before = self._frames.malformed
        for frame in self._frames.feed(chunk):
            self._tell(self._record.frame(frame))
            self._listener.on_life()
            if isinstance(frame, Mask) and self._process is not None:
                self._process.write(encode_ack(frame.seq))
            elif isinstance(frame, Progress):
                self._listener.on_progress(frame.percent, self._record.masker.mask(frame.message))
            elif isinstance(frame, Done):
                self._done.set()
        if before == 0 and self._frames.malformed:
            self._tell(
                self._record.note("warning", "Something wrote lines that are no frames to the step's private pipe; they are ignored")
            )
        if self._frames.broken:
            self._broken.set()

    def _tell(self, lines: Iterable[Said]) -> None:
        for line in lines:
            self._listener.on_line(StepLine(level=line.level, message=line.message, occurred_at=datetime.now(UTC), stream=line.stream))


_Awaited: TypeAlias = asyncio.Future[int | None] | asyncio.Event
_T = TypeVar("_T")


async def _first(*awaited: _Awaited, timeout_s: float) -> _Awaited | None:
    """The first of ``awaited`` that has happened, in the order given; None when none has in time."""
    waits = [asyncio.ensure_future(each.wait() if isinstance(each, asyncio.Event) else asyncio.shield(each)) for each in awaited]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return next((each for each in awaited if (each.is_set() if isinstance(each, asyncio.Event) else each.done())), None)


async def _to_the_end(work: Coroutine[Any, Any, _T]) -> _T:
    """The result of ``work``, which is finished even when this task is cancelled meanwhile; the cancellation then goes on."""
    task = asyncio.ensure_future(work)
    interrupted = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            interrupted = True
    if interrupted:
        raise asyncio.CancelledError
    return task.result()


def _remove(path: Path) -> None:
    """``path`` is gone, also when a step took the permissions of its own folders away."""
    if path.is_dir() and not path.is_symlink():
        path.chmod(stat.S_IRWXU)
    for folder, names, _ in os.walk(path):
        for name in names:
            inner = os.path.join(folder, name)
            if not os.path.islink(inner):
                os.chmod(inner, stat.S_IRWXU)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
