# SPDX-License-Identifier: Apache-2.0
"""Orders and outcomes cross as JSON and come back equal; wrong ones are refused without showing a value."""

import json

import pytest

from waybill.domain.deployments import RunState
from waybill.domain.ids import JsonValue
from waybill.domain.steps import OrderPackage, StepOrder, StepOutcome, order_from_json, order_to_json, outcome_from_json, outcome_to_json
from waybill.errors import FormatError

WEB = OrderPackage(ref_name="web", id="web", version="1", sha256="b" * 64, size=1, url="https://s3/secret-signature", filename="w.zip")
ORDER = StepOrder(
    run_id="run_1", package_url="https://s3/secret-signature", package_sha256="a" * 64, package_size=10, package_id="hello", package_version="1.0.0",
    inputs={"script": "s3cret-script"}, masks=("s3cret",), packages=(WEB,),
    deployment={"environment": "Test"}, ca_pem="pem", variables={"Token": "s3cret"}, idempotency_key="k",
)  # fmt: skip


def test_an_order_comes_back_equal_and_shows_no_secret() -> None:
    """Through JSON and back; ``repr`` shows neither inputs, masks, variables nor URLs."""
    assert order_from_json(json.loads(json.dumps(order_to_json(ORDER)))) == ORDER
    assert "s3cret" not in repr(ORDER)
    assert "signature" not in repr(ORDER)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("run_id", 1), ("masks", ["a", 1]), ("inputs", []), ("packages", [{}]), ("timeout_s", -1), ("timeout_s", True), ("variables", {"a": 1}),
        ("s3cret-more", 1),
    ],
)  # fmt: skip
def test_a_wrong_order_is_refused(name: str, value: JsonValue) -> None:
    """The member is named, its value is not."""
    with pytest.raises(FormatError) as refused:
        order_from_json({**order_to_json(ORDER), name: value})
    assert refused.value.code == "request.malformed"
    assert name in str(refused.value.field)
    with pytest.raises(FormatError):
        order_from_json({key: each for key, each in order_to_json(ORDER).items() if key != name} if name != "s3cret-more" else None)


def test_an_outcome_comes_back_equal() -> None:
    """Each final state, with its code."""
    for outcome in (
        StepOutcome(state=RunState.SUCCEEDED, outputs={"a": "b"}, secret_output_names=("c",)),
        StepOutcome(state=RunState.FAILED, code="step.timeout", message="too long"),
    ):
        assert outcome_from_json(json.loads(json.dumps(outcome_to_json(outcome)))) == outcome


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "running"}, {"state": "skipped"}, {"state": "done"}, {"state": "failed"}, {"code": "step.failed"},
        {"state": "failed", "code": "no.such"}, {"more": 1},
    ],
)  # fmt: skip
def test_a_wrong_outcome_is_refused(changes: dict[str, JsonValue]) -> None:
    """No final state, no code for a failure, a code for a success, an unknown code or member."""
    with pytest.raises(FormatError):
        outcome_from_json({**outcome_to_json(StepOutcome(state=RunState.SUCCEEDED)), **changes})
