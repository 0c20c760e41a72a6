# SPDX-License-Identifier: Apache-2.0
"""The world of the API tests."""

from collections.abc import Iterator

import pytest

from api.settings import ApiSettings
from tests.api.world import World, make_world


@pytest.fixture(scope="session")
def shared() -> Iterator[World]:
    """A site that many tests may ask, because what they ask changes nothing that another looks at."""
    made = make_world(settings=ApiSettings(key_burst=10**9))
    with made.client:
        yield made


@pytest.fixture
def world() -> Iterator[World]:
    """A fresh site in memory behind the real application."""
    made = make_world()
    with made.client:
        yield made
