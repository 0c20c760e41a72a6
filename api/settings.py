# SPDX-License-Identifier: Apache-2.0
"""What the API is told when it is composed, and what every route may reach.

Read nothing here: the composition root (``api.app``) fills these in once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from temporalio.api.common.v1 import Payload

from api.limits import TokenBuckets
from api.metrics import Metrics
from waybill.ports import Ports


class PayloadCodec(Protocol):
    """What the codec server needs of a payload codec (``temporalio.converter.PayloadCodec``)."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The payloads as they travel."""

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The payloads in clear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """How this API is served.

    ``public_origins``: origins under which browsers see this site, beside the Host of each request (behind a proxy, for one).
    ``peer_endpoint``: False where no other site may call (an air-gapped site has no such path at all).
    ``temporal_ui_origin``: the one origin whose pages may use the codec server.
    ``threads``: how many requests may wait for the database at once.
    """

    public_origins: tuple[str, ...] = ()
    secure_cookies: bool = True
    peer_endpoint: bool = True
    temporal_ui_origin: str | None = None
    threads: int = 40
    login_attempts: int = 10
    login_refill_per_second: float = 1 / 30
    key_burst: int = 2000
    key_refill_per_second: float = 500.0
    events_poll_seconds: float = 0.5

    @property
    def cookie_name(self) -> str:
        """``__Host-`` keeps other hosts of the domain from planting the cookie; browsers accept it over TLS only."""
        return "__Host-waybill_session" if self.secure_cookies else "waybill_session"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiContext:
    """What every route may reach. ``codecs``: payload codec by Temporal namespace."""

    ports: Ports
    settings: ApiSettings
    metrics: Metrics
    login_buckets: TokenBuckets
    key_buckets: TokenBuckets
    codecs: Mapping[str, PayloadCodec] = field(default_factory=dict)
