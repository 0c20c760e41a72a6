# SPDX-License-Identifier: Apache-2.0
"""Heartbeats of long activities on threads: they prove life, carry the bytes done, and bring cancellation.

A beat comes from a thread of its own, so that one slow request to a store is not taken for a dead worker;
a worker that is really dead beats no more.
"""

import contextvars
import threading
import time
from types import TracebackType
from typing import Final, Self

from temporalio import activity
from temporalio.exceptions import CancelledError

BEAT_SECONDS: Final = 2.0
REST_SECONDS: Final = 0.2
"""How soon a rest hears that it is cancelled."""


class Beat:
    """Beats while its block runs. ``on_bytes`` notes progress and raises once the activity was cancelled."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._bytes = 0
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        context = contextvars.copy_context()  # heartbeats find their activity through the context
        self._thread = threading.Thread(target=context.run, args=(self._beat,), name="heartbeat", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def on_bytes(self, total: int) -> None:
        """``total`` bytes are in place.

        Raises:
            temporalio.exceptions.CancelledError: when the activity was cancelled or its worker stops.
        """
        self._bytes = total
        if self.is_cancelled():
            raise CancelledError("cancelled")

    def rest(self, seconds: float) -> None:
        """``seconds`` have passed. Raises as ``on_bytes``."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, REST_SECONDS))
            self.on_bytes(self._bytes)

    @staticmethod
    def is_cancelled() -> bool:
        """True once the activity was cancelled or its worker stops; both end the work at the next piece."""
        return activity.is_cancelled() or activity.is_worker_shutdown()

    def _beat(self) -> None:
        while not self._done.wait(BEAT_SECONDS):
            activity.heartbeat(self._bytes)
