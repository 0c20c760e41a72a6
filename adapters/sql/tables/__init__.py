# SPDX-License-Identifier: Apache-2.0
"""Every table of a site, and which row of ``waybill.domain`` each one holds.

The unique rules and foreign keys are declared here once; the in-memory ledger of the tests reads the same tables.
No Space column points at ``spaces``: Spaces are retired, never removed, and the site's own audit log has none.
"""

from types import MappingProxyType
from typing import Final

from sqlalchemy import Table

from adapters.sql.columns import METADATA
from adapters.sql.tables import crossings, people, running, sources
from adapters.sql.tables.people import AUDIT_ENTRIES, AUDIT_HEADS
from adapters.sql.tables.running import LOG_LINES
from waybill.domain.access import Account, ApiKey, IdempotentAnswer, Session
from waybill.domain.bundles import Answer, InboxBundle
from waybill.domain.deltas import ArrivedDelta, EncodersHere, MadeDelta
from waybill.domain.deployments import Deployment, StepRun
from waybill.domain.lifecycles import Lifecycle
from waybill.domain.packages import Blob, Package, StepPackage, Upload
from waybill.domain.projects import Process, Project
from waybill.domain.promotions import Promotion
from waybill.domain.receipts import ReceiptRow, RemoteCell
from waybill.domain.releases import Document, Release, SnapshotValue
from waybill.domain.spaces import Environment, Machine, Space, SpaceKeys, Tenant
from waybill.domain.tasks import Carrier, Task
from waybill.domain.trusts import Lane, OutboxMessage, PeerNonce, Trust
from waybill.domain.variables import Variable

__all__ = ["AUDIT_ENTRIES", "AUDIT_HEADS", "LOG_LINES", "METADATA", "TABLES"]

TABLES: Final = MappingProxyType[type, Table](
    {
        Space: people.SPACES,
        SpaceKeys: people.SPACE_KEYS,
        Environment: people.ENVIRONMENTS,
        Tenant: people.TENANTS,
        Machine: people.MACHINES,
        Account: people.ACCOUNTS,
        ApiKey: people.API_KEYS,
        Session: people.SESSIONS,
        IdempotentAnswer: people.IDEMPOTENT_ANSWERS,
        Lifecycle: sources.LIFECYCLES,
        Project: sources.PROJECTS,
        Process: sources.PROCESSES,
        Variable: sources.VARIABLES,
        Blob: sources.BLOBS,
        EncodersHere: sources.ENCODERS_HERE,
        MadeDelta: sources.MADE_DELTAS,
        Package: sources.PACKAGES,
        StepPackage: sources.STEP_PACKAGES,
        Upload: sources.UPLOADS,
        Release: sources.RELEASES,
        SnapshotValue: sources.SNAPSHOT_VALUES,
        Document: sources.DOCUMENTS,
        Trust: crossings.TRUSTS,
        Lane: crossings.LANES,
        OutboxMessage: crossings.OUTBOX_MESSAGES,
        PeerNonce: crossings.PEER_NONCES,
        Promotion: crossings.PROMOTIONS,
        InboxBundle: crossings.INBOX_BUNDLES,
        ArrivedDelta: crossings.ARRIVED_DELTAS,
        Answer: crossings.ANSWERS,
        ReceiptRow: crossings.RECEIPTS,
        RemoteCell: crossings.REMOTE_CELLS,
        Carrier: crossings.CARRIERS,
        Task: running.TASKS,
        Deployment: running.DEPLOYMENTS,
        StepRun: running.STEP_RUNS,
    }
)
"""The kinds that ``Work.of`` knows. Audit entries and log lines have no revision and are reached by methods of their own."""
