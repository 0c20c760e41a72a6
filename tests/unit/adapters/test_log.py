# SPDX-License-Identifier: Apache-2.0
"""Logs tell what happened and never a secret, ours and strangers' loggers alike."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from adapters import log

TOKEN = f"waybill_{'A' * 43}_0123abcd"
MACHINE_TOKEN = f"wbm_spc_{'0' * 32}_mch_{'1' * 32}_{'B' * 40}-_x"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where a configured process writes; everything is put back afterwards."""
    root = logging.getLogger()
    before, level, lines = root.handlers[:], root.level, structlog.get_config()
    out = io.StringIO()
    log.configure(role="control", site="Brisbane", level="debug", stream=out)
    yield out
    root.handlers[:], root.level = before, level
    structlog.configure(**lines)
    structlog.contextvars.clear_contextvars()


def test_a_line_is_one_json_object_with_role_and_site(stream: io.StringIO) -> None:
    """So that lines of several processes can be told apart."""
    log.get_logger("test").info("bundle.verified", bundle_sha256="ab" * 32)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["role"], line["site"]) == ("bundle.verified", "control", "Brisbane")
    assert line["bundle_sha256"] == "ab" * 32


@pytest.mark.parametrize("secret", [TOKEN, MACHINE_TOKEN, "Bearer abc.def-ghi", "https://s3/x?X-Amz-Signature=deadbeef&a=1"])
def test_what_looks_like_a_credential_is_masked(stream: io.StringIO, secret: str) -> None:
    """In any field, however deep."""
    log.get_logger("test").info("request.refused", header=secret, nested={"list": [secret]})
    text = stream.getvalue()
    for part in (TOKEN, MACHINE_TOKEN, "abc.def", "deadbeef"):
        assert part not in text
    assert log.MASK in text


@pytest.mark.parametrize("name", ["password", "new_password", "token", "Authorization", "secret", "private_key", "api_key"])
def test_a_field_that_is_named_like_a_secret_is_masked(stream: io.StringIO, name: str) -> None:
    """Whatever its text looks like."""
    log.get_logger("test").info("session.opened", **{name: "hunter2"})
    assert "hunter2" not in stream.getvalue()


def test_strangers_exceptions_lose_their_text(stream: io.StringIO) -> None:
    """Temporal's activity logger would print the whole message and stack of a failed activity."""
    try:
        raise ValueError("hunter2")
    except ValueError:
        logging.getLogger("temporalio.activity").warning("Completing activity as failed", exc_info=True)
    text = stream.getvalue()
    assert "hunter2" not in text
    assert "ValueError" in text
