# SPDX-License-Identifier: Apache-2.0
"""What the engine keeps of a site's stories is unreadable without the site's key ring; the codec server reads it to permitted people alone."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from cli.client import tls_context
from sites.programs import NAMESPACE, STEPS_NAMESPACE
from tests.e2e.site import Space, sign_in
from tests.e2e.world import Sites, prepare

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(300)]


LOCAL_MARKS = {"seq", "attempt", "activity_id", "activity_type", "activation_index", "complete_time", "backoff", "original_schedule_time"}


def _decode(space: Space, namespace: str, payloads: list[Any], *, token: str | None) -> httpx2.Response:
    """The codec server's answer to whoever holds ``token``."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=space.demo.url, verify=tls_context(str(space.layout.authority)), headers=headers) as http:
        return http.post(f"/codec/{namespace}/decode", json={"payloads": payloads})


def _payloads(found: Any) -> Iterator[dict[str, Any]]:
    """Every payload of a history, wherever it stands."""
    if isinstance(found, dict):
        if "metadata" in found and "data" in found:
            yield found
        for value in found.values():
            yield from _payloads(value)
    elif isinstance(found, list):
        for value in found:
            yield from _payloads(value)


def _clear(payload: dict[str, Any]) -> str:
    return base64.b64decode(payload.get("data", "")).decode("utf-8", errors="replace")


def test_histories_are_sealed_and_the_codec_server_reads_them_to_permitted_people(sites: Sites) -> None:
    """Inputs, results and summaries of a real promotion and deployment: sealed on disk, readable with `payload.decode`, refused without."""
    project = "Discreet-Heron"
    prepare(sites.source, project, sites.fresh("secrecy"), lifecycle="to-prod")
    crossing = sites.source.promote(project.lower(), "1.0.0", to="prod")
    bundle = sites.target.take_in(project, "1.0.0")
    runs = sites.target.deploy(bundle["release_row_id"])
    sites.source.await_promotion(crossing, state="completed")
    seen: list[tuple[Space, str, str]] = [
        (sites.source, NAMESPACE, f"promote:{crossing.promotion_id}"),
        (sites.target, NAMESPACE, f"import:{bundle['id']}"),
        (sites.target, STEPS_NAMESPACE, f"step:{runs[0]['id']}"),
    ]
    for space, namespace, workflow_id in seen:
        history = space.engine("workflow", "show", "-w", workflow_id, namespace=namespace)
        sealed = [one for one in _payloads(history) if base64.b64decode(one["metadata"]["encoding"]) == b"binary/encrypted"]
        plain = [json.loads(_clear(one)) for one in _payloads(history) if one not in sealed]
        assert len(sealed) >= 2
        # What the engine's own library notes about an activity that it ran by itself: names and times, no input and no result.
        assert {key for one in plain for key in one} <= LOCAL_MARKS
        space_id = space.get("/identity")["space_id"]
        answer = _decode(space, namespace, sealed, token=space.client.profile.token)
        assert answer.status_code == 200, answer.text
        clear = [_clear(one) for one in answer.json()["payloads"]]
        assert len(clear) == len(sealed)
        assert any(f'"space_id":"{space_id}"' in text for text in clear), "the story's own input is among them"
        reader = sign_in(space.demo, permissions=["space.read", "bundle.decide"])
        assert _decode(space, namespace, sealed, token=reader).status_code == 403
        assert _decode(space, namespace, sealed, token=None).status_code == 401
        other = STEPS_NAMESPACE if namespace == NAMESPACE else NAMESPACE
        assert _decode(space, other, sealed[:1], token=space.client.profile.token).status_code == 400, "each namespace has its own keys"
        _nothing_in_clear(space, [project, *(text for text in clear if len(text) >= 24)], workflow_id)


def _nothing_in_clear(space: Space, texts: list[str], workflow_id: str) -> None:
    """None of ``texts`` stands in the engine's files, where the workflow's own id does."""
    content = b"".join(path.read_bytes() for path in sorted(space.layout.data.glob("temporal.db*")))
    assert workflow_id.encode() in content, "the search finds what is there"
    found = [text for text in texts if text.encode() in content]
    assert not found
