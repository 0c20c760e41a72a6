# SPDX-License-Identifier: Apache-2.0
"""The golden deltas give the golden results, or are refused with their codes."""

import json
from typing import Any

import pytest

from tests.delta_subjects import tools
from tests.vectors.deltas import HERE, folder
from waybill.delta.apply import apply
from waybill.delta.io import BytesReader, MemorySpool
from waybill.errors import WaybillError

CASES: list[dict[str, Any]] = json.loads((HERE / "cases.json").read_bytes())


@pytest.mark.parametrize("case", CASES, ids=[case["file"] for case in CASES])
def test_a_golden_delta(case: dict[str, Any]) -> None:
    """``expected`` null: the result comes out; else that code, and nothing that has the result's digest."""
    base, delta = ((HERE / case[name]).read_bytes() for name in ("beside", "file"))
    sink = MemorySpool()
    if case["expected"] is None:
        apply(BytesReader(base), BytesReader(delta), sink, tools=tools())
        assert sink.read_at(0, sink.size) == (HERE / case["result"]).read_bytes()
    else:
        with pytest.raises(WaybillError) as caught:
            apply(BytesReader(base), BytesReader(delta), sink, tools=tools())
        assert caught.value.code == case["expected"]


def test_todays_writer_makes_the_same_cases() -> None:
    """As many, under the same names; only compressed bytes may differ."""
    assert [case["file"] for case in folder().cases] == [case["file"] for case in CASES]
