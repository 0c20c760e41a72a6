# SPDX-License-Identifier: Apache-2.0
"""Idempotency-Key: the same request twice is done once, and both get the first answer.

Refuses a key that came before with another request (422), and one whose first request still runs (409).
A request that was refused had no effect, so its key is free again.
Answers that show a token once are never stored: those routes take no key.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Final

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from api.deps import Asking, Site
from waybill.domain.access import IdempotentAnswer
from waybill.errors import ConflictError, FormatError
from waybill.ports import SITE

MAX_KEY_LENGTH: Final = 128
ABANDONED_AFTER: Final = timedelta(minutes=10)
"""A first request that has not answered for so long died with its process."""
KEPT_FOR: Final = timedelta(hours=24)
REPLAYED_HEADER: Final = "Idempotent-Replayed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """One request under its key; without a key everything is simply done."""

    who: Asking
    key: str | None
    request_sha256: str

    def __call__(self, act: Callable[[], tuple[BaseModel, str]], *, status: int = 202) -> Response:
        """The answer to ``act``, which returns the body and the Location.

        Raises:
            FormatError: idempotency.key_reused. ConflictError: idempotency.in_progress.
        """
        if self.key is None:
            return _answer(*act(), status=status)
        row, is_first = self._reserve()
        if not is_first:
            return _replay(row)
        try:
            response = _answer(*act(), status=status)
        except BaseException:
            self._release(row)
            raise
        self._keep(row, response)
        return response

    def _reserve(self) -> tuple[IdempotentAnswer, bool]:
        """The row of the key, and whether this request is the first to use it."""
        now = self.who.ports.clock.now()
        fresh = IdempotentAnswer(
            id=f"{self.who.caller.id}:{self.key}", request_sha256=self.request_sha256, status=0, body=b"", created_at=now
        )
        with self.who.ports.ledger.write(SITE) as work:
            rows = work.of(IdempotentAnswer)
            found = rows.find(fresh.id)
            if found is None:
                return rows.add(fresh), True
            age = now - found.created_at
            if age >= KEPT_FOR or (found.status == 0 and age >= ABANDONED_AFTER):
                return rows.replace(replace(fresh, revision=found.revision)), True
        if found.request_sha256 != self.request_sha256:
            raise FormatError(
                "idempotency.key_reused", "this key came with another request before", field="Idempotency-Key", found=self.key
            )
        if found.status == 0:
            raise ConflictError("idempotency.in_progress", "the first request with this key still runs", field="Idempotency-Key")
        return found, False

    def _release(self, row: IdempotentAnswer) -> None:
        with self.who.ports.ledger.write(SITE) as work:
            found = work.of(IdempotentAnswer).find(row.id)
            if found is not None and found.revision == row.revision:
                work.of(IdempotentAnswer).remove(found)

    def _keep(self, row: IdempotentAnswer, response: Response) -> None:
        stored = {"location": response.headers["location"], "body": base64.b64encode(bytes(response.body)).decode("ascii")}
        with self.who.ports.ledger.write(SITE) as work:
            work.of(IdempotentAnswer).replace(replace(row, status=response.status_code, body=json.dumps(stored).encode("ascii")))


def _answer(body: BaseModel, location: str, *, status: int) -> Response:
    return JSONResponse(body.model_dump(mode="json"), status_code=status, headers={"Location": location})


def _replay(row: IdempotentAnswer) -> Response:
    stored = json.loads(row.body)
    headers = {"Location": stored["location"], REPLAYED_HEADER: "true"}
    return Response(base64.b64decode(stored["body"]), status_code=row.status, media_type="application/json", headers=headers)


async def once(
    request: Request,
    who: Site,
    idempotency_key: Annotated[str | None, Header(description="any text of your own; repeat it when you repeat the request")] = None,
) -> Once:
    """The request under its Idempotency-Key. Raises FormatError request.malformed for a key that is too long or not printable."""
    if idempotency_key is not None and not (0 < len(idempotency_key) <= MAX_KEY_LENGTH and idempotency_key.isprintable()):
        raise FormatError(
            "request.malformed", "that is no usable key", field="Idempotency-Key", expected=f"1 to {MAX_KEY_LENGTH} characters"
        )
    digest = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode() + await request.body()).hexdigest()
    return Once(who=who, key=idempotency_key, request_sha256=digest)


OnceOnly = Annotated[Once, Depends(once)]
