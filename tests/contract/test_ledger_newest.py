# SPDX-License-Identifier: Apache-2.0
"""``newest_by``: the newest row of each combination, in one query, on every ledger."""

import pytest

from tests.contract.rows import SPACE, make
from waybill.domain.tasks import Task
from waybill.ports import Ledger

ROWS = (
    ("promotion", "queued", None),
    ("promotion", "succeeded", None),
    ("promotion", "queued", "a.b"),
    ("receive", "queued", None),
    ("promotion", "queued", None),
)


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """A ledger with the tasks of ``ROWS``, and one of another Space."""
    with ledger.write(SPACE) as work:
        for number, (kind, state, code) in enumerate(ROWS):
            key = f"tsk_{number:032x}"
            work.of(Task).add(make(Task, key, kind=kind, state=state, code=code, workflow_id=key))
    other = "spc_" + "e" * 32
    with ledger.write(other) as work:
        work.of(Task).add(make(Task, "tsk_" + "f" * 32, space_id=other, kind="promotion", state="queued", workflow_id="x"))
    return ledger


@pytest.mark.parametrize(
    ("columns", "equals", "numbers"),
    [
        (("kind",), {}, [3, 4]),
        (("kind", "state"), {}, [1, 3, 4]),
        (("kind", "state", "code"), {}, [1, 2, 3, 4]),
        (("state",), {"kind": "promotion"}, [1, 4]),
        (("kind",), {"code": "a.b"}, [2]),
        (("kind",), {"code": "c.d"}, []),
    ],
)
def test_the_newest_row_of_each_combination_is_found(
    filled: Ledger, columns: tuple[str, ...], equals: dict[str, str], numbers: list[int]
) -> None:
    """Newest by id, None equals None, conditions are met first, and other Spaces do not count."""
    with filled.read(SPACE) as work:
        assert [int(row.id[4:], 16) for row in work.of(Task).newest_by(*columns, **equals)] == numbers


def test_a_column_that_does_not_exist_is_a_mistake(filled: Ledger) -> None:
    """A wrong column name is the program's fault, and told as such."""
    with filled.read(SPACE) as work, pytest.raises(ValueError, match="nothing_such"):
        work.of(Task).newest_by("nothing_such")
