# SPDX-License-Identifier: Apache-2.0
"""Ports of one site for tests of transfers: the memory ledger, and whichever store and peer the test brings."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tests.simulators.deltas_memory import MemoryDeltas
from tests.simulators.ledger_memory import MemoryLedger
from waybill.domain.ids import JsonValue
from waybill.errors import UnavailableError
from waybill.ports import Clock, ObjectStore, Peer, Ports, SiteFacts, TimelineRow


class RealClock:
    """The real time."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)


class RealEntropy:
    """The system's randomness."""

    def take(self, size: int) -> bytes:
        """``size`` random bytes."""
        return secrets.token_bytes(size)


class Absent:
    """Stands for the engine, the keys and the passwords that no transfer may touch: each use is an error."""

    def start(self, *, story: str, workflow_id: str, story_input: Mapping[str, JsonValue], summary: str) -> None:
        """Refused."""
        raise self._refusal()

    def signal(self, workflow_id: str, name: str, argument: object) -> bool:
        """Refused."""
        raise self._refusal()

    def update(self, workflow_id: str, name: str, argument: object, *, update_id: str) -> str:
        """Refused."""
        raise self._refusal()

    def cancel(self, workflow_id: str) -> bool:
        """Refused."""
        raise self._refusal()

    def describe(self, workflow_id: str) -> str | None:
        """Refused."""
        raise self._refusal()

    def timeline(self, workflow_id: str) -> Sequence[TimelineRow]:
        """Refused."""
        raise self._refusal()

    def check(self) -> None:
        """Refused."""
        raise self._refusal()

    def wrap(self, plaintext: bytes, *, context: str) -> bytes:
        """Refused."""
        raise self._refusal()

    def unwrap(self, wrapped: bytes, *, context: str) -> bytes:
        """Refused."""
        raise self._refusal()

    def hash(self, password: str) -> str:
        """Refused."""
        raise self._refusal()

    def matches(self, stored: str, password: str) -> bool:
        """Refused."""
        raise self._refusal()

    @staticmethod
    def _refusal() -> UnavailableError:
        return UnavailableError("engine.unavailable", "A transfer has no business here")


def make_ports(*, objects: ObjectStore, peer: Peer, part_size_bytes: int = 8 * 1024 * 1024, clock: Clock | None = None) -> Ports:
    """Ports that reach a new memory ledger, ``objects`` and ``peer``."""
    absent = Absent()
    return Ports(
        ledger=MemoryLedger(),
        objects=objects,
        deltas=MemoryDeltas(objects=objects),
        keys=absent,
        engine=absent,
        peer=peer,
        passwords=absent,
        clock=clock or RealClock(),
        entropy=RealEntropy(),
        site=SiteFacts(name="here", api_url=None, objects_url=None, ca_pem=None, outbound_peers="any", part_size_bytes=part_size_bytes),
    )
