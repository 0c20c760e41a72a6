# SPDX-License-Identifier: Apache-2.0
"""Moves the parts of one file in parallel threads, counted and stoppable.

``on_bytes`` and ``is_cancelled`` are called only in the caller's own thread: a heartbeat belongs to the thread of its activity.
It refuses to go on after the first error; what the store has confirmed by then stays confirmed.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

from waybill.app.blobs import interrupted
from waybill.formats.layout import PartRange

_LISTEN_SECONDS = 0.2
"""How often progress is told and cancellation heard while threads work."""

MovePart = Callable[[PartRange, Callable[[int], None]], None]
"""Moves one part and tells the size of each piece as it passes; the teller raises when everything shall stop."""


class Progress:
    """How many bytes have passed, over all threads, and whether they shall stop."""

    def __init__(self, *, already_bytes: int) -> None:
        self._lock = threading.Lock()
        self._total = already_bytes
        self._stopped = threading.Event()

    @property
    def total(self) -> int:
        """Bytes in place or under way."""
        return self._total

    def tell(self, size: int) -> None:
        """``size`` more bytes passed. Raises UnavailableError transfer.interrupted once stopped."""
        if self._stopped.is_set():
            raise interrupted("Another part failed or the transfer was cancelled")
        with self._lock:
            self._total += size

    def stop(self) -> None:
        """The next ``tell`` in any thread raises."""
        self._stopped.set()


def move_parts(
    parts: Iterable[PartRange],
    move: MovePart,
    *,
    concurrency: int,
    already_bytes: int,
    on_bytes: Callable[[int], None],
    is_cancelled: Callable[[], bool],
) -> None:
    """All ``parts`` were moved, at most ``concurrency`` at a time; no thread is left when this returns or raises.

    Raises:
        UnavailableError: transfer.interrupted, when cancelled; else whatever the first failing ``move`` raised.
    """
    progress = Progress(already_bytes=already_bytes)
    pool = ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="part")
    try:
        pending: set[Future[None]] = {pool.submit(move, part, progress.tell) for part in parts}
        while pending:
            done, pending = wait(pending, timeout=_LISTEN_SECONDS, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            on_bytes(progress.total)
            if is_cancelled():
                raise interrupted("Cancelled; what has arrived stays")
    finally:
        progress.stop()
        pool.shutdown(wait=True, cancel_futures=True)
