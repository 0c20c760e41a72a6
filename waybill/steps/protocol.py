# SPDX-License-Identifier: Apache-2.0
"""The frame protocol v1 between a machine and the step process: one JSON object per line, over two private pipes.

Host to step: ``init`` first, then ``ack`` and ``cancel``. Step to host: ``hello`` first, then ``log``, ``progress``, ``output``, ``mask``,
``summary``, ``heartbeat``, and one ``done`` as the last.
Every frame of the step carries the nonce of the run, which only the process that read ``init`` knows: a line without it is a forgery.
Nothing here reads a pipe; a broken line is counted, never raised, so that a step cannot stop its host with it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

from waybill.domain.ids import JsonValue
from waybill.domain.steps import STEP_LEVELS
from waybill.errors import FormatError

PROTOCOL_VERSION: Final = 1
MAX_FRAME_BYTES: Final = 1024 * 1024
MAX_INIT_BYTES: Final = 8 * 1024 * 1024
"""``init`` alone may be larger: it carries the inputs with a whole script in them."""
MAX_MALFORMED: Final = 100
MAX_MASKS: Final = 10_000
MAX_OUTPUT_BYTES: Final = 128 * 1024
MAX_OUTPUTS_BYTES: Final = 1024 * 1024


class DoneStatus(StrEnum):
    """How the step itself says that it ended: it said no (failed), it broke (errored), it obeyed a cancel frame (cancelled)."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The step process has read ``init`` and speaks ``versions``."""

    versions: tuple[int, ...]
    node: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A line, or several, for the log."""

    level: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the step is, 0 to 100."""

    percent: float
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A named result."""

    name: str
    value: str
    sensitive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """A value that is secret from now on; the host acknowledges ``seq`` once it is masked."""

    value: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the step tells people at the end, in Markdown."""

    markdown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The step's event loop turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The terminal frame. ``code`` is the step's own, such as ``HttpCheck-Answer-Unexpected``."""

    status: DoneStatus
    message: str | None = None
    code: str | None = None
    retryable: bool = False


StepFrame = Hello | Log | Progress | Output | Mask | Summary | Heartbeat | Done


class Frames:
    """Decodes what the step process writes, chunk by chunk, in the order that the protocol demands."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._buffer = bytearray()
        self._skipping = False
        self._greeted = False
        self._masks = 0
        self.malformed = 0
        self.done: Done | None = None

    @property
    def broken(self) -> bool:
        """True once ``MAX_MALFORMED`` lines were wrong: the process must be ended."""
        return self.malformed >= MAX_MALFORMED

    def feed(self, chunk: bytes) -> Iterator[StepFrame]:
        """The valid frames that ``chunk`` completes. Lines that are wrong, too long or out of order are counted in ``malformed``."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._append(chunk[start:end])
            frame = self._complete()
            if frame is not None:
                yield frame
            start = end + 1
        self._append(chunk[start:])

    def _append(self, piece: bytes) -> None:
        if self._skipping:
            return
        self._buffer += piece
        if len(self._buffer) > MAX_FRAME_BYTES:
            self._buffer.clear()
            self._skipping = True

    def _complete(self) -> StepFrame | None:
        line, skipped = bytes(self._buffer), self._skipping
        self._buffer.clear()
        self._skipping = False
        if not line.strip() and not skipped:
            return None
        frame = None if skipped else self._ordered(decode_frame(line, nonce=self._nonce))
        if frame is None:
            self.malformed += 1
        return frame

    def _ordered(self, frame: StepFrame | None) -> StepFrame | None:
        """``frame``, when it may come now: ``hello`` once and first, nothing after ``done``."""
        if frame is None or self.done is not None or isinstance(frame, Hello) == self._greeted:
            return None
        if isinstance(frame, Hello):
            if PROTOCOL_VERSION not in frame.versions:
                return None
            self._greeted = True
        if isinstance(frame, Mask):
            self._masks += 1
            if self._masks > MAX_MASKS:
                return None
        if isinstance(frame, Done):
            self.done = frame
        return frame


def decode_frame(line: bytes, *, nonce: str) -> StepFrame | None:
    """The frame in one line, or None when it is not a frame of this run. Order is not checked here."""
    try:
        value: object = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.get("n") != nonce:
        return None
    try:
        return _frame(cast("dict[str, JsonValue]", value))
    except _WrongMemberError:
        return None


def encode_init(members: Mapping[str, JsonValue], *, nonce: str) -> bytes:
    """The ``init`` line. Raises FormatError limit.exceeded above ``MAX_INIT_BYTES``; the value is not repeated in the error."""
    return _line({"t": "init", "v": PROTOCOL_VERSION, "n": nonce, **members}, most=MAX_INIT_BYTES)


def encode_ack(seq: int) -> bytes:
    """The line that says: what the step sent as ``seq`` is in force."""
    return _line({"t": "ack", "seq": seq}, most=MAX_FRAME_BYTES)


def encode_cancel(reason: str, *, grace_ms: int) -> bytes:
    """The line that asks the step to end within ``grace_ms`` milliseconds. ``reason``: ``cancelled`` | ``timeout``."""
    return _line({"t": "cancel", "reason": reason, "graceMs": grace_ms}, most=MAX_FRAME_BYTES)


class _WrongMemberError(Exception):
    """A member of a frame is missing or of another type."""


def _frame(value: dict[str, JsonValue]) -> StepFrame:
    match value.get("t"):
        case "hello":
            return Hello(versions=_versions(value), node=_text(value, "node"), pid=_number(value, "pid"))
        case "log":
            level = _text(value, "lvl")
            return Log(level=level if level in STEP_LEVELS else "info", message=_text(value, "msg"))
        case "progress":
            return Progress(percent=_percent(value), message=_text(value, "msg", default=""))
        case "output":
            return Output(name=_text(value, "name"), value=_text(value, "value"), sensitive=value.get("sensitive") is True)
        case "mask":
            return Mask(value=_text(value, "value"), seq=_number(value, "seq"))
        case "summary":
            return Summary(markdown=_text(value, "md"))
        case "heartbeat":
            return Heartbeat()
        case "done":
            return _done(value)
        case _:
            raise _WrongMemberError


def _done(value: dict[str, JsonValue]) -> Done:
    status = _text(value, "status")
    if status not in set(DoneStatus):
        raise _WrongMemberError
    error = value.get("error")
    if error is None:
        return Done(status=DoneStatus(status))
    if not isinstance(error, dict):
        raise _WrongMemberError
    code = error.get("code")
    return Done(
        status=DoneStatus(status),
        message=_text(error, "message"),
        code=code[:200] if isinstance(code, str) else None,
        retryable=error.get("retryable") is True,
    )


def _versions(value: dict[str, JsonValue]) -> tuple[int, ...]:
    found = value.get("v")
    if not isinstance(found, list):
        raise _WrongMemberError
    return tuple(each for each in found if isinstance(each, int) and not isinstance(each, bool))


def _text(value: dict[str, JsonValue], name: str, *, default: str | None = None) -> str:
    found = value.get(name, default)
    if not isinstance(found, str):
        raise _WrongMemberError
    return found.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair would break every later encoding


def _number(value: dict[str, JsonValue], name: str) -> int:
    found = value.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise _WrongMemberError
    return found


def _percent(value: dict[str, JsonValue]) -> float:
    found = value.get("pct")
    if not isinstance(found, int | float) or isinstance(found, bool):
        raise _WrongMemberError
    return min(100.0, max(0.0, float(found)))


def _line(value: dict[str, JsonValue], *, most: int) -> bytes:
    line = json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
    if len(line) > most:
        raise FormatError("limit.exceeded", "a frame for the step is too large", field=str(value["t"]), expected=f"at most {most} bytes")
    return line


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
