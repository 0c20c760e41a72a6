# SPDX-License-Identifier: Apache-2.0
"""The host's side of frame protocol v1, against the vectors that the step's side is tested with too."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.domain.ids import JsonValue
from waybill.errors import FormatError
from waybill.steps.protocol import (
    MAX_FRAME_BYTES,
    MAX_INIT_BYTES,
    MAX_MALFORMED,
    MAX_MASKS,
    Frames,
    Mask,
    StepFrame,
    decode_frame,
    encode_ack,
    encode_cancel,
    encode_init,
)

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "step-protocol-v1"
NONCE = "0123456789abcdef0123456789abcdef"
HELLO = json.dumps({"t": "hello", "n": NONCE, "v": [1], "node": "v20", "pid": 1}).encode() + b"\n"


def _vectors(name: str) -> dict[str, list[dict[str, JsonValue]]]:
    found: dict[str, list[dict[str, JsonValue]]] = json.loads((VECTORS / name).read_text())
    return found


def _shown(frame: StepFrame) -> dict[str, JsonValue]:
    shown: dict[str, JsonValue] = json.loads(json.dumps({"kind": type(frame).__name__, **dataclasses.asdict(frame)}))
    return shown


@pytest.mark.parametrize("case", _vectors("step-to-host.json")["cases"], ids=lambda case: case["name"])
def test_a_line_of_the_step_is_read(case: dict[str, JsonValue]) -> None:
    """Each line of the vectors reads as the frame that it stands for."""
    frame = decode_frame(str(case["line"]).encode(), nonce=NONCE)
    assert frame is not None
    assert _shown(frame) == case["read"]


@pytest.mark.parametrize("case", _vectors("step-to-host_fail.json")["cases"], ids=lambda case: case["name"])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_wrong_lines_are_counted_and_the_others_read(case: dict[str, JsonValue], size: int) -> None:
    """However the bytes are cut, wrong lines are counted once each and right ones read in order."""
    lines = case["lines"]
    assert isinstance(lines, list)
    data = "".join(f"{line}\n" for line in lines).encode()
    frames = Frames(NONCE)
    read = [_shown(frame) for at in range(0, len(data), size) for frame in frames.feed(data[at : at + size])]
    assert read == case["read"]
    assert frames.malformed == case["malformed"]


def test_a_line_of_the_host_is_written() -> None:
    """init, ack and cancel are exactly the lines of the vectors."""
    init, ack, cancel = _vectors("host-to-step.json")["cases"]
    members = init["members"]
    assert isinstance(members, dict)
    assert encode_init(members, nonce=NONCE) == str(init["line"]).encode() + b"\n"
    assert encode_ack(7) == str(ack["line"]).encode() + b"\n"
    assert encode_cancel("timeout", grace_ms=10_000) == str(cancel["line"]).encode() + b"\n"


def test_limits_hold() -> None:
    """A line over 1 MiB is dropped whole and counted once, what follows is read; too much input is refused without being repeated."""
    frames = Frames(NONCE)
    assert len(list(frames.feed(HELLO))) == 1
    for _ in range(3):
        assert list(frames.feed(b"x" * MAX_FRAME_BYTES)) == []
    assert list(frames.feed(b"\n" + HELLO)) == []
    assert frames.malformed == 2
    with pytest.raises(FormatError) as refused:
        encode_init({"inputs": "s3cret" * MAX_INIT_BYTES}, nonce=NONCE)
    assert refused.value.code == "limit.exceeded"
    assert "s3cret" not in str(refused.value)


def test_a_step_that_only_sends_garbage_is_broken() -> None:
    """After a hundred wrong lines the host must end it, not earlier; masks without end count too."""
    frames = Frames(NONCE)
    list(frames.feed(b"x\n" * (MAX_MALFORMED - 1)))
    assert not frames.broken
    list(frames.feed(b"x\n"))
    assert frames.broken
    masks = Frames(NONCE)
    list(masks.feed(HELLO))
    line = json.dumps({"t": "mask", "n": NONCE, "value": "v", "seq": 1}).encode() + b"\n"
    taken = [frame for frame in masks.feed(line * (MAX_MASKS + 5)) if isinstance(frame, Mask)]
    assert (len(taken), masks.malformed) == (MAX_MASKS, 5)


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_bytes_raise(chunks: list[bytes]) -> None:
    """Whatever comes, reading goes on and nothing is accepted without the nonce."""
    frames = Frames(NONCE)
    assert [frame for chunk in chunks for frame in frames.feed(chunk)] == []
