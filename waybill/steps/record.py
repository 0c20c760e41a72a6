# SPDX-License-Identifier: Apache-2.0
"""What one run said and how it ended: raw output and frames in, masked lines and one outcome out.

Pure: the process, the pipes and the clock are adapters/node_host.py's. Everything that leaves here is masked and bounded.
"""

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from waybill.domain.deployments import RunState
from waybill.domain.ids import JsonValue
from waybill.domain.steps import StepOutcome
from waybill.steps.masking import LineMasker, Masker
from waybill.steps.protocol import (
    MAX_OUTPUT_BYTES,
    MAX_OUTPUTS_BYTES,
    Done,
    DoneStatus,
    Heartbeat,
    Hello,
    Log,
    Mask,
    Output,
    Progress,
    StepFrame,
    Summary,
)

MAX_LOG_BYTES: Final = 20 * 1024 * 1024
LINE_COST_BYTES: Final = 64
"""What an empty line counts against ``MAX_LOG_BYTES``."""
MAX_MESSAGE_CHARACTERS: Final = 10_000


class Stopped(StrEnum):
    """Why the host ended the process."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    LINGERED = "lingered"
    PROTOCOL = "protocol"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the process ended. ``exit_code`` is negative for a signal and None when nobody saw it; ``complete`` when nothing of its tree is left."""

    exit_code: int | None
    stopped: Stopped | None
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One line for the log. ``stream`` is ``stdout`` or ``stderr`` for raw output."""

    level: str
    message: str
    stream: str | None = None


class RunRecord:
    """Collects one run."""

    def __init__(self, masks: Iterable[str], *, max_log_bytes: int = MAX_LOG_BYTES) -> None:
        self.masker = Masker(masks)
        self.done: Done | None = None
        self._raw = {name: LineMasker(self.masker) for name in ("stdout", "stderr")}
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}
        self._spoken: dict[str, LineMasker] = {}
        self._outputs: dict[str, str] = {}
        self._secret_outputs: set[str] = set()
        self._log_left = max_log_bytes
        self._log_full = False

    def raw(self, stream: str, chunk: bytes) -> Iterator[Said]:
        """The lines that raw output completes. ``stream``: ``stdout`` | ``stderr``; both are info, since tools print notes on stderr."""
        text = self._decoders[stream].decode(chunk).replace("\0", "\ufffd")
        yield from self._bounded("info", self._raw[stream].feed(text), stream)

    def frame(self, frame: StepFrame) -> Iterator[Said]:
        """The lines that a frame brings. Masks, outputs and the end are recorded; a Mask is in force when this is exhausted."""
        match frame:
            case Log():
                yield from self._speak(frame.level, frame.message)
            case Summary():
                yield from self._speak("highlight", frame.markdown)
            case Mask():
                self.masker.add(frame.value, frame.value.strip())
            case Output():
                yield from self._output(frame)
            case Done():
                self.done = frame
            case Hello() | Heartbeat() | Progress():
                pass
            case _:
                assert_never(frame)

    def note(self, level: str, message: str) -> Iterator[Said]:
        """A line of the host itself, masked."""
        yield Said(level=level, message=self.masker.mask(message))

    def end(self) -> Iterator[Said]:
        """The lines that still were held when all streams had ended."""
        for stream, lines in self._raw.items():
            yield from self._bounded("info", lines.feed(self._decoders[stream].decode(b"", True)), stream)
            yield from self._bounded("info", lines.end(), stream)
        for level, lines in self._spoken.items():
            yield from self._bounded(level, lines.end(), None)

    def outcome(self, ended: Ended, *, timeout_s: int) -> StepOutcome:
        """How the run ended, once the process has. Outputs are those that were set, whatever the end."""
        state, code, message = self._verdict(ended, timeout_s)
        secret = {name for name, value in self._outputs.items() if name in self._secret_outputs or self.masker.holds_secret(value)}
        outputs: dict[str, JsonValue] = {name: value for name, value in sorted(self._outputs.items()) if name not in secret}
        masked = None if message is None else self.masker.mask(message.replace("\0", "\ufffd"))[:MAX_MESSAGE_CHARACTERS]
        return StepOutcome(state=state, code=code, message=masked, outputs=outputs, secret_output_names=tuple(sorted(secret)))

    def _verdict(self, ended: Ended, timeout_s: int) -> tuple[RunState, str | None, str | None]:
        if not ended.complete:
            return RunState.ERRORED, "step.errored", "Processes of the step could not be ended"
        if ended.stopped is Stopped.TIMEOUT:
            return RunState.FAILED, "step.timeout", f"The step took longer than {timeout_s} seconds"
        if ended.stopped is Stopped.PROTOCOL:
            return RunState.ERRORED, "step.protocol_invalid", "The step process wrote too many lines that are no frames"
        done = self.done
        if done is None:
            if ended.stopped is Stopped.CANCELLED:
                return RunState.CANCELLED, "step.cancelled", "The step was cancelled"
            return RunState.ERRORED, "step.no_result", f"Step process ended without a result ({_how(ended.exit_code)})"
        return self._said(done, ended)

    def _said(self, done: Done, ended: Ended) -> tuple[RunState, str | None, str | None]:
        message = f"{done.code}: {done.message}" if done.code and done.message else done.message
        match done.status:
            case DoneStatus.SUCCEEDED:
                if ended.exit_code == 0 or ended.stopped is not None:
                    return RunState.SUCCEEDED, None, None
                return RunState.ERRORED, "step.errored", f"Step process broke after it reported success ({_how(ended.exit_code)})"
            case DoneStatus.FAILED:
                return RunState.FAILED, "step.failed", message or "The step failed"
            case DoneStatus.ERRORED:
                return RunState.ERRORED, "step.errored", message or "The step broke"
            case DoneStatus.CANCELLED:
                if ended.stopped is Stopped.CANCELLED:
                    return RunState.CANCELLED, "step.cancelled", "The step was cancelled"
                return RunState.ERRORED, "step.errored", "The step says that it was cancelled, but nobody did"
        assert_never(done.status)

    def _output(self, frame: Output) -> Iterator[Said]:
        size = len(frame.value.encode("utf-8"))
        others = sum(len(value.encode("utf-8")) for name, value in self._outputs.items() if name != frame.name)
        name = frame.name[:100]
        if size > MAX_OUTPUT_BYTES or others + size > MAX_OUTPUTS_BYTES or not name or self.masker.holds_secret(name):
            yield from self.note(
                "warning", f"The output {name} is not kept: its name is wrong or it is over the limit of {MAX_OUTPUT_BYTES} bytes"
            )
            return
        self._outputs[name] = frame.value.replace("\0", "\ufffd")
        if frame.sensitive:
            self._secret_outputs.add(name)
            self.masker.add(frame.value)
        elif self.masker.holds_secret(frame.value):
            self._secret_outputs.add(name)
            yield from self.note("warning", f"The output {name} holds a secret and is treated as one")

    def _speak(self, level: str, message: str) -> Iterator[Said]:
        lines = self._spoken.setdefault(level, LineMasker(self.masker))
        yield from self._bounded(level, lines.feed(message.replace("\0", "\ufffd").rstrip("\n") + "\n"), None)

    def _bounded(self, level: str, lines: Iterable[str], stream: str | None) -> Iterator[Said]:
        """Lines as long as the log has room; one warning when it has none."""
        for line in lines:
            self._log_left -= len(line.encode("utf-8")) + LINE_COST_BYTES
            if self._log_left >= 0:
                yield Said(level=level, message=line, stream=stream)
            elif not self._log_full:
                self._log_full = True
                yield Said(level="warning", message="The log of this step is full; what comes after is not kept")


def _how(exit_code: int | None) -> str:
    if exit_code is None:
        return "nobody saw how"
    return f"signal {-exit_code}" if exit_code < 0 else f"exit {exit_code}"
