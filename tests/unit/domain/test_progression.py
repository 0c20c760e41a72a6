# SPDX-License-Identifier: Apache-2.0
"""Progression as a table: which phase holds a release back."""

import pytest

from waybill.domain.lifecycles import Lifecycle, Phase
from waybill.domain.progression import first_phase_of, is_complete, mandatory_phases_done, unmet_phase

DEV = Phase(name="Dev", members=("env_dev",), optional=True)
TEST = Phase(name="Test", members=("env_eu", "env_us"), minimum=1)
STAGE = Phase(name="Stage", members=("env_a", "env_b"))
PROD = Phase(name="Prod", members=("trs_prod",))
CYCLE = Lifecycle(id="lfc_x", space_id="spc_x", slug="x", name="X", phases=(DEV, TEST, STAGE, PROD))


@pytest.mark.parametrize(
    ("completed", "target", "unmet"),
    [
        ((), "env_dev", None),
        ((), "env_eu", None),
        ((), "env_us", None),
        ((), "env_a", "Test"),
        (("env_dev",), "env_a", "Test"),
        (("env_us",), "env_a", None),
        (("env_us",), "trs_prod", "Stage"),
        (("env_us", "env_a"), "trs_prod", "Stage"),
        (("env_a", "env_b"), "trs_prod", "Test"),
        (("env_eu", "env_a", "env_b"), "trs_prod", None),
        (("env_eu", "env_a", "env_b"), "trs_stranger", "Prod"),
        (("env_eu", "env_a", "env_b", "trs_prod"), "trs_stranger", None),
    ],
)
def test_the_first_incomplete_mandatory_phase_holds_back(completed: tuple[str, ...], target: str, unmet: str | None) -> None:
    """Optional phases never hold back, "at least n" is enough, and a stranger comes after all."""
    found = unmet_phase(CYCLE, set(completed), target)
    assert (found.name if found else None) == unmet


def test_a_lifecycle_is_complete_with_its_mandatory_phases() -> None:
    """Optional phases do not count; without a mandatory phase nothing is ever complete."""
    assert mandatory_phases_done(CYCLE, {"env_eu", "env_a"}) == (1, 3)
    assert is_complete(CYCLE, {"env_eu", "env_a", "env_b", "trs_prod"})
    assert not is_complete(Lifecycle(id="lfc_y", space_id="spc_x", slug="y", name="Y", phases=(DEV,)), {"env_dev"})
    assert first_phase_of(CYCLE, "env_b") == 2
    assert first_phase_of(CYCLE, "env_other") is None
