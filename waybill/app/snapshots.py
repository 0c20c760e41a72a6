# SPDX-License-Identifier: Apache-2.0
"""Snapshots: every value of a release as it was frozen, the secret ones wrapped for the row that holds them.

The signed Release leaves out secrets and what is meant for one target; deployments here and Deliveries take them from these rows.
"""

from collections.abc import Iterable, Mapping, Sequence

from waybill.app import ids, secrets
from waybill.domain.releases import SnapshotValue
from waybill.domain.spaces import Environment
from waybill.domain.variables import Scope, Variable
from waybill.ports import Ports, Work


def copy_variables(
    ports: Ports, *, space_id: str, release_row_id: str, variables: Iterable[Variable], environments: Mapping[str, Environment]
) -> tuple[SnapshotValue, ...]:
    """One row per variable and template, secrets opened and wrapped again for their new row. Nothing is stored yet."""
    rows = []
    for variable in sorted(variables, key=lambda one: one.id):
        row_id = ids.fresh(ports, "snp")
        sealed = None
        if variable.sealed is not None:
            plain = secrets.open_variable(ports, variable.sealed, row_id=variable.id, space_id=space_id)
            sealed = secrets.seal_snapshot(ports, plain, row_id=row_id, space_id=space_id)
        rows.append(
            SnapshotValue(
                id=row_id,
                space_id=space_id,
                release_row_id=release_row_id,
                variable_id=variable.id,
                name=variable.name,
                type=variable.type,
                scope=variable.scope,
                value=variable.value,
                sealed=sealed,
                template=variable.template,
                trust_id=only_target(variable.scope, environments),
            )
        )
    return tuple(rows)


def only_target(scope: Scope, environments: Mapping[str, Environment]) -> str | None:
    """The trust of the one Remote Space that the scope is meant for, or None when it is meant for more or for nobody in particular."""
    owners = {environments[one].trust_id for one in scope.environments if one in environments}
    return owners.pop() if len(owners) == 1 else None


def values_of(work: Work, release_row_id: str) -> Sequence[SnapshotValue]:
    """All values of a release, in the order in which they were frozen."""
    return work.of(SnapshotValue).where(release_row_id=release_row_id)


def same_values(ports: Ports, one: Sequence[SnapshotValue], other: Sequence[SnapshotValue]) -> bool:
    """True when both snapshots hold the same values, secrets compared in clear inside this call."""
    by_id = {row.variable_id: row for row in other}
    return len(one) == len(other) == len(by_id) and all(
        row.variable_id in by_id and same_value(ports, row, by_id[row.variable_id]) for row in one
    )


def same_value(ports: Ports, one: SnapshotValue, other: SnapshotValue) -> bool:
    """True when both rows say the same of one variable."""
    plain = (one.name, one.type, one.scope, one.value, one.template) == (other.name, other.type, other.scope, other.value, other.template)
    return plain and same_secret(ports, one, other)


def same_secret(ports: Ports, one: SnapshotValue, other: SnapshotValue) -> bool:
    """True when both rows hold the same secret, or neither holds one."""
    if one.sealed is None or other.sealed is None:
        return one.sealed is other.sealed
    first = secrets.open_snapshot(ports, one.sealed, row_id=one.id, space_id=one.space_id)
    second = secrets.open_snapshot(ports, other.sealed, row_id=other.id, space_id=other.space_id)
    return first == second
