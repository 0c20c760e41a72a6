# SPDX-License-Identifier: Apache-2.0
"""Every time and every retry of the stories, in one place.

Durations of waits for people and peers are fields of the stories' inputs; those here bound single activities.
Retries are without limit where the cause is outside: a story waits for it and says so.
Refusals are not retried at all: worker/interceptors.py marks them.
"""

from datetime import timedelta
from typing import Final, TypedDict

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

from waybill.domain.stories import TRANSFER_QUEUE


class ActivityTimes(TypedDict, total=False):
    """Arguments of ``workflow.execute_activity_method``."""

    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType
    task_queue: str


class LocalTimes(TypedDict):
    """Arguments of ``workflow.execute_local_activity_method``."""

    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy


OUTSIDE: Final = RetryPolicy(initial_interval=timedelta(milliseconds=250), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=30))
NEVER_AGAIN: Final = RetryPolicy(maximum_attempts=1)

QUICK: Final[ActivityTimes] = {"start_to_close_timeout": timedelta(seconds=30), "retry_policy": OUTSIDE}
"""Work on the ledger: twice as long as a writer waits for its turn, and how long the death of a worker is felt."""

SHOWN: Final[LocalTimes] = {"start_to_close_timeout": timedelta(seconds=20), "retry_policy": OUTSIDE}
"""A word for the pages: no hop over the server, so that saying something costs little."""

EXCHANGE: Final[ActivityTimes] = {
    "start_to_close_timeout": timedelta(minutes=5),
    "heartbeat_timeout": timedelta(seconds=20),
    "retry_policy": RetryPolicy(maximum_attempts=1),
}
"""One round with a peer. Not retried: the courier's own poll is the retry, and it says what it waits for."""

MOVING: Final[ActivityTimes] = {
    "start_to_close_timeout": timedelta(days=7),
    "heartbeat_timeout": timedelta(seconds=30),
    "retry_policy": OUTSIDE,
    "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    "task_queue": TRANSFER_QUEUE,
}
"""Bytes on the move or being hashed; resumes from what the store confirms."""

STEP_WAIT: Final[ActivityTimes] = {
    "start_to_close_timeout": timedelta(days=30),
    "heartbeat_timeout": timedelta(seconds=30),
    "retry_policy": OUTSIDE,
    "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
}
"""A run in the steps namespace, awaited by heartbeat; a repeated attempt only attaches."""

STEP_HEARTBEAT: Final = timedelta(seconds=10)
STEP_MARGIN: Final = timedelta(minutes=10)
"""What a run may take beyond its own timeout: fetching packages, ending the process, posting the outcome."""

STEP_PICKUP: Final = timedelta(hours=1)
"""How long a run waits for its machine before it is settled as interrupted."""

BLOBS_AT_ONCE: Final = 4
BUSY_BLOB: Final = timedelta(seconds=1)
"""Pause before asking again for a blob that another promotion is moving."""

FIRST_LOOK: Final = timedelta(seconds=5)
"""First check in the ledger after handing something to the road, for whoever sends no receipts; later ones double up to the input's ``recheck_seconds``."""

FOLLOW_FACTOR: Final = 12
"""After arrival, a promotion looks into the ledger this many times less often: receipts call it."""

COURIER_ROUNDS: Final = 500
"""Rounds of a courier before it continues as new, if the server does not suggest it earlier."""

COURIER_BACKOFF: Final = 8
"""A courier whose peer does not answer waits up to this many polls."""
