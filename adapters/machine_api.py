# SPDX-License-Identifier: Apache-2.0
"""The site's API as a machine may use it: claim a run, append to its log, post its outcome, all with the machine's own key.

Refused: redirects, answers above their size, certificates of another authority. The key is read from a file and never printed.
An order holds secrets: it lives in memory only and no error text repeats it.
"""

import json
import re
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx2

from adapters.tls import client_context
from waybill import errors
from waybill.domain.ids import JsonValue
from waybill.domain.steps import StepLine, StepOrder, StepOutcome, order_from_json, outcome_to_json
from waybill.errors import CODES, FormatError, UnavailableError, WaybillError

MAX_ORDER_BYTES: Final = 16 * 1024 * 1024
_MAX_OTHER_BYTES: Final = 64 * 1024
_MAX_TOKEN_BYTES: Final = 1024
_TOKEN: Final = re.compile(r"^wbm_(spc_[0-9a-f]{32})_(mch_[0-9a-f]{32})_[A-Za-z0-9_-]{43}$")


def read_machine_token(path: Path) -> tuple[str, str]:
    """The machine's key in a file, and the id of the machine that it names.

    Raises:
        FormatError: settings.invalid, when the file holds no machine key; its content is not repeated.
    """
    with path.open("rb") as file:
        text = file.read(_MAX_TOKEN_BYTES).decode("ascii", errors="replace").strip()
    found = _TOKEN.match(text)
    if found is None:
        raise FormatError(
            "settings.invalid", f"{path.name} holds no machine key; register the machine and save what is shown", field="token_file"
        )
    return text, found.group(2)


class MachineApi:
    """``activities.machine.SiteApi`` over HTTPS. Belongs to one event loop; ``close`` it at the end."""

    def __init__(self, *, base_url: str, token: str, ca_pem: str | None) -> None:
        verify: ssl.SSLContext | bool = client_context(ca_pem) if ca_pem is not None else True
        self._client = httpx2.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            verify=verify,
            timeout=httpx2.Timeout(30.0, connect=10.0),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """No connection is open."""
        await self._client.aclose()

    async def claim(self, run_id: str) -> StepOrder:
        """The order of a run; a second claim is refused.

        Raises:
            ConflictError: machine.foreign_run, deployment.not_waiting, and what else the site refuses.
            UnavailableError: peer.unavailable, when the site does not answer.
        """
        return order_from_json(await self._post(f"/api/v1/machine/runs/{run_id}/claim", {}, limit=MAX_ORDER_BYTES))

    async def append_log(self, run_id: str, lines: Sequence[StepLine]) -> None:
        """The lines are stored at the site. Raises UnavailableError."""
        items: list[JsonValue] = [
            {"level": line.level, "message": line.message, "occurred_at": line.occurred_at.isoformat(), "stream": line.stream}
            for line in lines
        ]
        await self._post(f"/api/v1/machine/runs/{run_id}/log", {"lines": items}, limit=_MAX_OTHER_BYTES)

    async def post_outcome(self, run_id: str, outcome: StepOutcome) -> None:
        """The outcome is stored at the site; the first one wins. Raises UnavailableError."""
        await self._post(f"/api/v1/machine/runs/{run_id}/outcome", outcome_to_json(outcome), limit=_MAX_OTHER_BYTES)

    async def _post(self, path: str, body: Mapping[str, JsonValue], *, limit: int) -> JsonValue:
        content = json.dumps(body, ensure_ascii=False).encode()
        try:
            async with self._client.stream("POST", path, content=content, headers={"Content-Type": "application/json"}) as answer:
                data = await _bounded(answer, limit)
                status = answer.status_code
        except httpx2.HTTPError as error:
            raise UnavailableError("peer.unavailable", f"The site's API does not answer ({type(error).__name__})") from error
        if status >= 300:
            raise _refusal(status, data)
        return _parse(data) if data else None


async def _bounded(answer: httpx2.Response, limit: int) -> bytes:
    data = bytearray()
    async for piece in answer.aiter_bytes():
        data += piece
        if len(data) > limit:
            raise FormatError("limit.exceeded", "The site's answer is too large", expected=f"at most {limit} bytes")
    return bytes(data)


def _parse(data: bytes) -> JsonValue:
    try:
        value: JsonValue = json.loads(data)
    except ValueError:
        raise FormatError("request.malformed", "The site's answer is not JSON") from None  # not chained: it may quote a secret
    return value


def _refusal(status: int, data: bytes) -> WaybillError:
    """The error that the site's problem document names; anything else is an outside fault and may be tried again."""
    try:
        problem = json.loads(data)
        code, detail = str(problem["code"]), str(problem.get("detail") or problem.get("title") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        code, detail = "", ""
    if code not in CODES or CODES[code].http_status >= 500 or status == 429:  # throttled is for a moment, a refusal for good
        return UnavailableError("peer.unavailable", f"The site's API answered {status}")
    kind = {404: errors.NotFoundError, 400: errors.FormatError, 422: errors.FormatError, 409: errors.ConflictError}.get(
        CODES[code].http_status, errors.PolicyError
    )
    return kind(code, detail[:500] or CODES[code].title)
