# SPDX-License-Identifier: Apache-2.0
"""What a run said and how it ended become masked lines and one outcome."""

import pytest

from waybill.domain.deployments import RunState
from waybill.steps.masking import MASK
from waybill.steps.protocol import Done, DoneStatus, Log, Mask, Output, StepFrame, Summary
from waybill.steps.record import Ended, RunRecord, Stopped


def _done(status: DoneStatus) -> Done:
    return Done(status=status, message=None if status is DoneStatus.SUCCEEDED else "why")


@pytest.mark.parametrize(
    ("done", "exit_code", "stopped", "complete", "state", "code"),
    [
        (DoneStatus.SUCCEEDED, 0, None, True, RunState.SUCCEEDED, None),
        (DoneStatus.SUCCEEDED, -9, Stopped.LINGERED, True, RunState.SUCCEEDED, None),
        (DoneStatus.SUCCEEDED, 0, Stopped.CANCELLED, True, RunState.SUCCEEDED, None),
        (DoneStatus.SUCCEEDED, 1, None, True, RunState.ERRORED, "step.errored"),
        (DoneStatus.SUCCEEDED, 0, Stopped.TIMEOUT, True, RunState.FAILED, "step.timeout"),
        (DoneStatus.SUCCEEDED, 0, None, False, RunState.ERRORED, "step.errored"),
        (DoneStatus.FAILED, 0, None, True, RunState.FAILED, "step.failed"),
        (DoneStatus.FAILED, 1, Stopped.CANCELLED, True, RunState.FAILED, "step.failed"),
        (DoneStatus.ERRORED, 0, None, True, RunState.ERRORED, "step.errored"),
        (DoneStatus.CANCELLED, 0, Stopped.CANCELLED, True, RunState.CANCELLED, "step.cancelled"),
        (DoneStatus.CANCELLED, 0, None, True, RunState.ERRORED, "step.errored"),
        (DoneStatus.CANCELLED, 0, Stopped.CANCELLED, False, RunState.ERRORED, "step.errored"),
        (None, 0, None, True, RunState.ERRORED, "step.no_result"),
        (None, -9, Stopped.CANCELLED, True, RunState.CANCELLED, "step.cancelled"),
        (None, -9, Stopped.TIMEOUT, True, RunState.FAILED, "step.timeout"),
        (None, -9, Stopped.PROTOCOL, True, RunState.ERRORED, "step.protocol_invalid"),
        (None, None, None, True, RunState.ERRORED, "step.no_result"),
    ],
)
def test_every_end_has_its_outcome(
    done: DoneStatus | None, exit_code: int | None, stopped: Stopped | None, complete: bool, state: RunState, code: str | None
) -> None:
    """What the step said, how it ended, and why the host ended it decide together."""
    record = RunRecord([])
    if done:
        list(record.frame(_done(done)))
    outcome = record.outcome(Ended(exit_code=exit_code, stopped=stopped, complete=complete), timeout_s=5)
    assert (outcome.state, outcome.code) == (state, code)
    assert (outcome.message is None) == (code is None)


ENDED = Ended(exit_code=0, stopped=None, complete=True)


def test_outputs_that_hold_secrets_are_only_named() -> None:
    """Marked, holding a known secret, or holding one that becomes known later: named, not shown."""
    record = RunRecord(["known-secret"])
    frames: list[StepFrame] = [
        Output(name="plain", value="a", sensitive=False),
        Output(name="plain", value="b", sensitive=False),
        Output(name="marked", value="abcd-efgh", sensitive=True),
        Output(name="repeats", value="x abcd-efgh", sensitive=False),
        Output(name="holds", value="known-secret", sensitive=False),
        Output(name="early", value="late-secret", sensitive=False),
        Mask(value="late-secret", seq=1),
        Output(name="big", value="x" * 200_000, sensitive=False),
        _done(DoneStatus.SUCCEEDED),
    ]
    lines = [line for frame in frames for line in record.frame(frame)]
    outcome = record.outcome(ENDED, timeout_s=5)
    assert outcome.outputs == {"plain": "b"}
    assert outcome.secret_output_names == ("early", "holds", "marked", "repeats")
    assert [line.level for line in lines] == ["warning"] * 3


def test_all_outputs_together_are_bounded() -> None:
    """Above 1 MiB in all, further outputs are refused; replacing one does not count twice."""
    record = RunRecord([])
    for _ in range(3):
        list(record.frame(Output(name="same", value="x" * 128 * 1024, sensitive=False)))
    said = [line for number in range(9) for line in record.frame(Output(name=f"o{number}", value="x" * 128 * 1024, sensitive=False))]
    assert len(said) == 2
    assert len(record.outcome(ENDED, timeout_s=5).outputs) == 8


def test_lines_are_split_decoded_and_masked() -> None:
    """Several lines in one message; characters cut by chunks; NUL and broken UTF-8; a last line without an end."""
    record = RunRecord(["zwölf-secrets"])
    said = [*record.frame(Log(level="wait", message="one\ntwo zwölf-secrets\n")), *record.frame(Summary(markdown="# All zwölf-secrets"))]
    for byte in "a zwölf-secrets b\0".encode() + b"\xff\nlast":
        said += record.raw("stderr", bytes([byte]))
    said += record.end()
    assert [(line.level, line.message, line.stream) for line in said] == [
        ("wait", "one", None),
        ("wait", f"two {MASK}", None),
        ("highlight", f"# All {MASK}", None),
        ("info", f"a {MASK} b\ufffd\ufffd", "stderr"),
        ("info", "last", "stderr"),
    ]


def test_a_full_log_says_so_once() -> None:
    """Empty lines count too; after the limit there is one warning and then silence."""
    record = RunRecord([], max_log_bytes=1000)
    said = list(record.raw("stdout", b"\n" * 100_000))
    said += record.raw("stdout", b"more\n")
    assert [line.level for line in said] == ["info"] * 15 + ["warning"]
