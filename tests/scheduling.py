# SPDX-License-Identifier: Apache-2.0
"""Which tests share one worker of ``pytest -n``: those that share whole sites, which are started once per worker.

xdist's own mark ``xdist_group`` has no effect with pytest 9.2, which no longer lets a plugin change the id of a test.
"""

from typing import Final

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]  # xdist has no types
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # the same

_GROUPS: Final = {
    "tests/e2e/test_processes.py": "lone site",
    "tests/e2e/": "three sites",
    "tests/docs/test_tutorial.py": "three sites",  # a world of its own, but not at the same time: two cores
}


def group_of(nodeid: str) -> str:
    """The group of the test; its own id when it may run on any worker."""
    return next((group for path, group in _GROUPS.items() if nodeid.startswith(path)), nodeid)


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # the same
    """Sends the tests of one group to one worker, the largest groups first."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Our scheduler for ``--dist loadgroup``; any other as asked for."""
    return GroupScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None
