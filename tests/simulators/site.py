# SPDX-License-Identifier: Apache-2.0
"""A whole site in memory: every port has a fake that keeps the port's promises, the clock and the randomness are the test's.

``make_site()`` gives a site; ``site.ports`` goes into use cases. ``serve`` lets the peer port of one site reach another.
"""

import hashlib
import hmac
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.simulators.deltas_memory import MemoryDeltas
from tests.simulators.engine_memory import MemoryEngine
from tests.simulators.ledger_memory import MemoryLedger
from tests.simulators.objects_memory import MemoryObjects
from tests.simulators.peer_memory import Handler, MemoryPeer
from waybill.errors import UnavailableError
from waybill.ports import Ports, SiteFacts

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""When the clock of every test begins."""


@dataclass(slots=True)
class ManualClock:
    """A clock that moves only when told; each reading is one millisecond later, so that ids made later sort later."""

    at: datetime = START

    def now(self) -> datetime:
        """The time."""
        self.at += timedelta(milliseconds=1)
        return self.at

    def advance(self, span: timedelta) -> None:
        """The clock goes on (or back)."""
        self.at += span


@dataclass(slots=True)
class SeededEntropy:
    """Bytes that are the same on every run of a test and different between sites."""

    seed: bytes
    count: int = 0

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        out = b""
        while len(out) < size:
            self.count += 1
            out += hashlib.sha256(self.seed + self.count.to_bytes(8, "big")).digest()
        return out[:size]


@dataclass(slots=True)
class MemoryKeys:
    """A key store with one real AES-256-GCM key, so that a value moved to another context does not open."""

    key: bytes

    def wrap(self, plaintext: bytes, *, context: str) -> bytes:
        """The plaintext sealed."""
        nonce = os.urandom(12)
        return nonce + AESGCM(self.key).encrypt(nonce, plaintext, context.encode())

    def unwrap(self, wrapped: bytes, *, context: str) -> bytes:
        """The plaintext, in the same context only."""
        try:
            return AESGCM(self.key).decrypt(wrapped[:12], wrapped[12:], context.encode())
        except InvalidTag:
            raise UnavailableError("keystore.unavailable", "the key file does not open this value") from None


class QuickPasswords:
    """A password hash that is quick, salted, and good enough for tests."""

    def hash(self, password: str) -> str:
        """Salt and digest."""
        salt = os.urandom(8).hex()
        return f"{salt}:{hashlib.sha256((salt + password).encode()).hexdigest()}"

    def matches(self, stored: str, password: str) -> bool:
        """True when ``password`` made ``stored``."""
        salt, _, digest = stored.partition(":")
        return hmac.compare_digest(digest, hashlib.sha256((salt + password).encode()).hexdigest())


@dataclass(slots=True, kw_only=True)
class Site:
    """One installation: its ports, and the fakes behind them for a test to look into."""

    ports: Ports
    ledger: MemoryLedger
    objects: MemoryObjects
    deltas: MemoryDeltas
    engine: MemoryEngine
    peer: MemoryPeer
    clock: ManualClock
    entropy: SeededEntropy


def make_site(name: str = "brisbane", *, clock: ManualClock | None = None, outbound_peers: str = "any", has_address: bool = True) -> Site:
    """An empty site. Sites that talk to each other share a ``clock``."""
    own_clock = clock or ManualClock()
    entropy = SeededEntropy(name.encode())
    ledger, objects, engine = MemoryLedger(), MemoryObjects(name=name, clock=own_clock), MemoryEngine()
    peer = MemoryPeer(stores=[objects])
    deltas = MemoryDeltas(objects=objects)
    facts = SiteFacts(
        name=name,
        api_url=f"https://{name}.example" if has_address else None,
        objects_url=f"https://objects.{name}.example" if has_address else None,
        ca_pem=None,
        outbound_peers=outbound_peers,
    )
    ports = Ports(
        ledger=ledger,
        objects=objects,
        deltas=deltas,
        keys=MemoryKeys(hashlib.sha256(b"key file of " + name.encode()).digest()),
        engine=engine,
        peer=peer,
        passwords=QuickPasswords(),
        clock=own_clock,
        entropy=entropy,
        site=facts,
    )
    return Site(ports=ports, ledger=ledger, objects=objects, deltas=deltas, engine=engine, peer=peer, clock=own_clock, entropy=entropy)


def serve(caller: Site, other: Site, handler: Handler) -> None:
    """The peer port of ``caller`` reaches ``handler`` at the address of ``other``, and granted URLs of its store."""
    if other.ports.site.api_url is None:
        raise ValueError("a site without an address cannot be served")
    caller.peer.handlers[other.ports.site.api_url] = handler
    caller.peer.stores[other.objects.name] = other.objects
