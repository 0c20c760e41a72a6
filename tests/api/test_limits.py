# SPDX-License-Identifier: Apache-2.0
"""What one caller may cost: bodies, addresses, requests."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from api.limits import DEFAULT_BODY_BYTES, MIB, ThrottledError, TokenBuckets, body_limit_of
from api.settings import ApiSettings
from tests.api.test_problems import check_problem
from tests.api.world import World, make_world
from waybill.domain.access import Permission

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_announced_body_is_refused_before_it_is_sent(world: World) -> None:
    """413 by the length alone: nothing of the body is read, and no credentials are needed to be told so."""
    headers = {"Content-Length": str(10**12), "Content-Type": "application/json"}
    check_problem(world.client.post("/api/v1/login", headers=headers, content=b""), 413, "request.too_large")


def test_a_stream_without_length_is_cut_off(world: World) -> None:
    """A body that does not say how long it is, is read up to the limit and not further."""
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 20 * DEFAULT_BODY_BYTES:
            sent += 64 * 1024
            yield b" " * 64 * 1024

    answer = world.client.post("/api/v1/login", content=endless(), headers={"Content-Type": "application/json"})
    check_problem(answer, 413, "request.too_large")


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/api/v1/login", MIB), ("/nothing", MIB), ("/peer/v1/spc_1/exchange", 64 * MIB), ("/api/v1/spaces/a/projects", 16 * MIB)],
)
def test_each_path_has_its_limit(path: str, limit: int) -> None:
    """Envelopes may be larger than credentials."""
    assert body_limit_of(path) == limit


@pytest.mark.parametrize("path", ["/api/v1/spaces/%00", "/api/v1/spaces/devtest/packages?package_id=%00", "/%00"])
def test_no_address_holds_a_zero(world: World, path: str) -> None:
    """U+0000 in an address is refused before any database sees it."""
    check_problem(world.client.get(path, headers=world.as_admin()), 400, "request.malformed")


@pytest.mark.parametrize("value", ["-1", "1e9", "9" * 30, "x"])
def test_a_strange_length_is_no_way_around(world: World, value: str) -> None:
    """A Content-Length that is no number does not switch the limit off."""
    content = b" " * (DEFAULT_BODY_BYTES + 1)
    answer = world.client.post("/api/v1/login", content=content, headers={"Content-Length": value, "Content-Type": "application/json"})
    assert answer.status_code in (400, 413)


def test_a_key_that_asks_too_often_waits() -> None:
    """Each key has its own bucket; a second key is not slowed by the first."""
    world = make_world(settings=ApiSettings(key_burst=5, key_refill_per_second=1.0))
    first, second = world.as_admin(), world.as_holder(Permission.SPACE_READ)
    with world.client:
        codes = [world.client.get("/api/v1/me", headers=first).status_code for _ in range(8)]
        assert codes.count(429) >= 2
        answer = world.client.get("/api/v1/me", headers=first)
        assert int(answer.headers["Retry-After"]) >= 1
        assert world.client.get("/api/v1/me", headers=second).status_code == 200
        world.site.clock.advance(timedelta(seconds=10))
        assert world.client.get("/api/v1/me", headers=first).status_code == 200


def test_a_stranger_does_not_use_up_the_rate_of_a_spaces_peers() -> None:
    """Before anything is proven only the address can be counted: peers that call from elsewhere are still heard."""
    world = make_world(settings=ApiSettings(key_burst=3, key_refill_per_second=0.01))
    url, headers = f"/peer/v1/{world.space.id}/exchange", {"Content-Type": "application/json"}
    with TestClient(world.client.app, client=("192.0.2.66", 1)) as stranger, TestClient(world.client.app, client=("192.0.2.7", 1)) as peer:
        codes = [stranger.post(url, content=b"{}", headers=headers).status_code for _ in range(5)]
        assert (codes[0], codes[-1]) == (403, 429)
        assert peer.post(url, content=b"{}", headers=headers).status_code == 403


def test_a_bucket_refills_and_never_overflows() -> None:
    """Tokens come back with time up to the capacity; a clock that goes back gives nothing."""
    buckets = TokenBuckets(capacity=2, per_second=1.0)
    for _ in range(2):
        buckets.take("a", now=NOW)
    with pytest.raises(ThrottledError):
        buckets.take("a", now=NOW)
    with pytest.raises(ThrottledError):
        buckets.take("a", now=NOW - timedelta(hours=1))
    for _ in range(2):
        buckets.take("a", now=NOW + timedelta(hours=1))
    with pytest.raises(ThrottledError):
        buckets.take("a", now=NOW + timedelta(hours=1))


def test_forgotten_callers_cost_nothing() -> None:
    """An attacker with many names cannot fill the memory."""
    buckets = TokenBuckets(capacity=1, per_second=1.0)
    for number in range(10_050):
        buckets.take(str(number), now=NOW)
    assert len(buckets._buckets) == 10_000  # the bound is what this test is about
