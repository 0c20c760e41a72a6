# SPDX-License-Identifier: Apache-2.0
"""Which members of a lifecycle a release has completed, from what is proven: deployments here, verified receipts from elsewhere (N8).

No receipt is no success; a quarantined receipt proves nothing.
"""

from waybill.domain.deployments import Deployment, DeploymentState
from waybill.domain.lifecycles import Lifecycle
from waybill.domain.receipts import ReceiptRow
from waybill.domain.releases import Release
from waybill.domain.spaces import Environment
from waybill.ports import Work


def completed_members(work: Work, release: Release, lifecycle: Lifecycle) -> frozenset[str]:
    """The ids of the members of ``lifecycle`` that ``release`` has completed, in three queries.

    An environment here is complete after a successful deployment (of any tenant); a Remote Space after ``lifecycle_completed``;
    a remote environment after a receipt ``succeeded`` that names it.
    """
    deployed = {row.environment_id for row in work.of(Deployment).where(release_row_id=release.id, state=DeploymentState.SUCCEEDED)}
    receipts = [
        row for row in work.of(ReceiptRow).where(direction="in", release_sha256=release.release_sha256) if row.quarantine_code is None
    ]
    spaces = {row.trust_id for row in receipts if row.event == "lifecycle_completed"}
    proven = {(row.trust_id, row.environment_name) for row in receipts if row.event == "succeeded"}
    remote = {row.id for row in work.of(Environment).where() if row.trust_id is not None and (row.trust_id, row.name) in proven}
    members = {member for phase in lifecycle.phases for member in phase.members}
    return frozenset(members & (deployed | spaces | remote))


def members_of_trust(work: Work, trust_id: str, lifecycle: Lifecycle) -> tuple[str, ...]:
    """The members of ``lifecycle`` that stand for a Remote Space: itself, or environments of it; in the order of the phases."""
    own = {trust_id} | {row.id for row in work.of(Environment).where(trust_id=trust_id)}
    return tuple(member for phase in lifecycle.phases for member in phase.members if member in own)
