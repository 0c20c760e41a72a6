# SPDX-License-Identifier: Apache-2.0
"""What one caller may cost: bytes of a body, requests of a key, attempts to sign in.

Refuses a body over its limit before anything parses it, also when its length was not announced.
The counters live in the memory of one process: they slow an attacker down, they are not a ledger.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from waybill.errors import FormatError, PolicyError

MIB: Final = 1024 * 1024
DEFAULT_BODY_BYTES: Final = MIB
BODY_BYTES_OF: Final[Sequence[tuple[str, int]]] = (
    ("/peer/v1/", 64 * MIB),  # an exchange carries several envelopes of at most 16 MiB
    ("/codec/", 8 * MIB),  # Temporal's own limit for one message is 4 MiB
    ("/api/v1/spaces/", 16 * MIB),  # processes, answers, log lines; packages go to the object store
    ("/api/v1/machine/", 8 * MIB),  # an outcome: 1 MiB of outputs, each character up to six bytes of JSON
)
MAX_COUNTED_CALLERS: Final = 10_000


def body_limit_of(path: str) -> int:
    """How many bytes a body sent to ``path`` may have."""
    return next((limit for prefix, limit in BODY_BYTES_OF if path.startswith(prefix)), DEFAULT_BODY_BYTES)


class BodyLimit:
    """ASGI middleware: 413 at once for an announced length, and as soon as a stream passes the limit; 400 for U+0000 in the address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request through the limit of its path."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if "\x00" in scope["path"] or b"%00" in scope.get("query_string", b""):
            malformed = FormatError("request.malformed", "an address must not hold U+0000", field="path")
            await problems.answer(scope, malformed)(scope, receive, send)
            return
        limit = body_limit_of(scope["path"])
        if _announced(scope) > limit:
            refusal = FormatError("request.too_large", "the body is over the limit of this path", expected=f"at most {limit} bytes")
            await problems.answer(scope, refusal)(scope, receive, send)
            return
        await self.app(scope, _counted(receive, limit), send)


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 19 else 0
    return 0


def _counted(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def receive_within() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                raise HTTPException(413)
        return message

    return receive_within


class ThrottledError(PolicyError):
    """Too many attempts; ``retry_after_seconds`` goes into the header."""

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__("authn.throttled", message)
        self.retry_after_seconds = retry_after_seconds


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: datetime


class TokenBuckets:
    """One bucket per key of ``capacity`` tokens that refills at ``per_second``. Safe between threads; forgets the longest unused."""

    def __init__(self, *, capacity: int, per_second: float) -> None:
        self._capacity = capacity
        self._per_second = per_second
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = Lock()

    def take(self, key: str, *, now: datetime) -> None:
        """One token taken from the bucket of ``key``. Raises ThrottledError authn.throttled when it is empty."""
        with self._lock:
            bucket = self._filled(key, now)
            if bucket.tokens < 1:
                wait = max(1, round((1 - bucket.tokens) / self._per_second + 0.5))
                raise ThrottledError("wait before you try again", retry_after_seconds=wait)
            bucket.tokens -= 1

    def give_back(self, key: str, *, now: datetime) -> None:
        """One token returned: what it was taken for turned out to be in order."""
        with self._lock:
            bucket = self._filled(key, now)
            bucket.tokens = min(float(self._capacity), bucket.tokens + 1)

    def _filled(self, key: str, now: datetime) -> _Bucket:
        bucket = self._buckets.pop(key, None) or _Bucket(tokens=float(self._capacity), at=now)
        elapsed = max(0.0, (now - bucket.at).total_seconds())
        bucket.tokens = min(float(self._capacity), bucket.tokens + elapsed * self._per_second)
        bucket.at = now
        self._buckets[key] = bucket
        if len(self._buckets) > MAX_COUNTED_CALLERS:
            self._buckets.popitem(last=False)
        return bucket
