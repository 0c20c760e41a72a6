# SPDX-License-Identifier: Apache-2.0
"""What every page of a Space shows around its content: the Space, its navigation, what waits for a person."""

from typing import Any

from api.deps import Here
from waybill.app import access
from waybill.domain.bundles import InboxBundle, InboxState
from waybill.domain.tasks import Task, TaskState


def frame(here: Here, active: str) -> dict[str, Any]:
    """Values that ``base.html`` needs; ``active`` names the entry of the navigation."""
    spaces = access.visible_spaces(here.ports, here.caller)
    space = next(row for row in spaces if row.id == here.space_id)
    with here.ports.ledger.read(here.space_id) as work:
        waiting = work.of(InboxBundle).count(state=InboxState.READY.value)
        running = work.of(Task).count(state=TaskState.RUNNING.value)
    return {"space": space, "spaces": spaces, "active": active, "waiting": waiting, "running": running, "root": f"/spaces/{space.slug}"}
