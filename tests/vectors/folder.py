# SPDX-License-Identifier: Apache-2.0
"""What all generators of vectors share: a folder of cases, and documents changed and signed again."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from waybill.formats import envelope
from waybill.trust import keys, sign


@dataclass
class Folder:
    """The vectors of one kind."""

    files: dict[str, bytes] = field(default_factory=dict)
    cases: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, data: bytes, *, expected: str | None = None, why: str, beside: str | None = None, **facts: Any) -> None:
        """One case: a file, and the file that belongs beside it."""
        self.files[name] = data
        self.cases.append({"file": name, "beside": beside, "expected": expected, "why": why, **facts})

    def written(self) -> dict[str, bytes]:
        """All files, with ``cases.json``."""
        return {**self.files, "cases.json": json.dumps(self.cases, indent=1, ensure_ascii=False, sort_keys=True).encode() + b"\n"}


def tampered(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The payload of the envelope ``data``, changed, and signed again by nobody: the old signature stays."""
    env = envelope.decode(data)
    return envelope.encode(replace(env, payload=_changed(env.payload, change)))


def resigned(
    data: bytes, key: keys.SigningKey, change: Callable[[dict[str, Any]], None], *, most: int = envelope.MAX_ENVELOPE_BYTES
) -> bytes:
    """The payload of the envelope ``data``, changed, under a fresh signature of ``key``."""
    env = envelope.decode(data, max_bytes=most)
    return sign.sign_envelope(env.payload_type, _changed(env.payload, change), key)


def _changed(payload: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    value = json.loads(payload)
    change(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def payload_sha256(data: bytes) -> str:
    """The payload digest of an envelope."""
    return hashlib.sha256(envelope.decode(data).payload).hexdigest()
