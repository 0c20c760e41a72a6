# SPDX-License-Identifier: Apache-2.0
"""Figures for Prometheus. Every label has a bound: methods, route templates, states; never an id, a name or a path.

What the ledger knows (tasks by state, how late receipts came, bytes of promotions) is read when somebody asks.
"""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from waybill.domain.promotions import Promotion
from waybill.domain.receipts import ReceiptRow
from waybill.domain.spaces import Space
from waybill.domain.tasks import Task, TaskState
from waybill.ports import SITE, Ledger

NEWEST_PROMOTIONS: Final = 1000
"""Bytes are summed over this many promotions of each Space, so that a scrape stays cheap when there are millions."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The registry of one API process."""

    def __init__(self, ledger: Ledger) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter("waybill_requests", "Requests served", ["method", "route", "status"], registry=self.registry)
        self._seconds = Histogram("waybill_request_seconds", "Time to serve a request", ["method", "route"], registry=self.registry)
        self.registry.register(LedgerFigures(ledger))

    def count(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """One finished request."""
        known = method if method in _METHODS else "OTHER"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)

    def text(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self.registry)


class LedgerFigures(Collector):
    """What the database says about the work of all Spaces together."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry must not read the database when this is registered."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The gauges, read now."""
        with self._ledger.read(SITE) as work:
            spaces = [space.id for space in work.of(Space).where()]
        yield self._tasks(spaces)
        yield self._lag(spaces)
        yield self._bytes(spaces)

    def _tasks(self, spaces: list[str]) -> Metric:
        gauge = GaugeMetricFamily("waybill_tasks", "Tasks by state", labels=["state"])
        totals = dict.fromkeys(TaskState, 0)
        for space_id in spaces:
            with self._ledger.read(space_id) as work:
                for state in TaskState:
                    totals[state] += work.of(Task).count(state=state)
        for state, total in totals.items():
            gauge.add_metric([state], total)
        return gauge

    def _lag(self, spaces: list[str]) -> Metric:
        gauge = GaugeMetricFamily("waybill_receipt_lag_seconds", "How long the newest receipt of a trust took to come home, worst Space")
        gauge.add_metric([], max((self._lag_of(space_id) for space_id in spaces), default=0.0))
        return gauge

    def _lag_of(self, space_id: str) -> float:
        with self._ledger.read(space_id) as work:
            newest = work.of(ReceiptRow).where(newest_first=True, limit=1, direction="in")
        return max((max(0.0, (row.learned_at - row.happened_at).total_seconds()) for row in newest), default=0.0)

    def _bytes(self, spaces: list[str]) -> Metric:
        gauge = GaugeMetricFamily("waybill_promotion_bytes", "Bytes of the newest promotions of each Space", labels=["kind"])
        totals = {"packages": 0, "sent": 0, "saved": 0}
        for space_id in spaces:
            with self._ledger.read(space_id) as work:
                for row in work.of(Promotion).where(newest_first=True, limit=NEWEST_PROMOTIONS):
                    totals["packages"] += row.bytes_packages
                    totals["sent"] += row.bytes_sent
                    totals["saved"] += row.bytes_saved
        for kind, total in totals.items():
            gauge.add_metric([kind], total)
        return gauge
