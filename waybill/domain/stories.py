# SPDX-License-Identifier: Apache-2.0
"""What the workflows take and give: ids and digests only, never content, never a secret.

One frozen input and one result per workflow. Named here, in the pure core, so that use cases can start stories without knowing the engine.
"""

from dataclasses import dataclass
from typing import Final

from waybill.domain.bundles import Need

CONTROL_QUEUE: Final = "control"
TRANSFER_QUEUE: Final = "transfer"
STEP_CONTROL_QUEUE: Final = "step-control"


def machine_queue(machine_id: str) -> str:
    """The task queue of one machine, in the steps namespace."""
    return f"machine:{machine_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteCarried:
    """What a long-lived ``PromoteRelease`` hands to itself when its history grows: the bundle left, and is followed until ``deadline_unix``.

    ``spared`` was not sent, since the target has signed that it holds it.
    """

    document_sha256: str
    bundle_sha256: str
    peer_name: str
    deadline_unix: float
    spared: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteInput:
    """``PromoteRelease``, id ``promote:{promotion_id}``. ``prepare``: deltas are made before the bundle is sealed, for a target that fetches."""

    space_id: str
    task_id: str
    promotion_id: str
    trust_id: str
    road: str
    follow_seconds: float = 90 * 24 * 3600.0
    recheck_seconds: float = 300.0
    carried: PromoteCarried | None = None
    prepare: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateInput:
    """``ReplicatePackage``, id ``replicate:{space}:{direction}:{trust}:{sha256[:12]}``: one blob over one trust.

    ``direction``: ``upload`` (we call and send), ``download`` (we call and fetch) or ``rebuild`` (a delta of it lies here).
    """

    space_id: str
    task_id: str
    trust_id: str
    direction: str
    bundle_sha256: str
    sha256: str
    size_bytes: int
    role: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateResult:
    """``how``: ``nothing`` (it is there) | ``delta`` | ``whole`` | ``refused`` (a delta that did not serve). Bytes are of content, not of protocol.

    ``words`` say it in one sentence.
    """

    sha256: str
    how: str
    bytes_sent: int
    bytes_saved: int
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveInput:
    """``ReceiveBundle``, id ``receive:{inbox_id}``."""

    space_id: str
    task_id: str
    inbox_id: str
    trust_id: str
    road: str
    recheck_seconds: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportInput:
    """``ImportRelease``, id ``import:{inbox_id}``: waits for a person's decision."""

    space_id: str
    task_id: str
    inbox_id: str
    bundle_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportDecision:
    """What a person decided, bound to exactly the bytes and the preview that were shown. The reason stands in SQL, not here."""

    decision_id: str
    verdict: str
    bundle_sha256: str
    preview_sha256: str
    actor_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployInput:
    """``DeployRelease``, id ``deploy:{deployment_id}``."""

    space_id: str
    task_id: str
    deployment_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDecision:
    """A person's word on an interrupted step: ``retry`` or ``fail``."""

    decision_id: str
    run_id: str
    verdict: str
    actor_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStepInput:
    """``RunStep`` in the steps namespace, id ``step:{run_id}``: one run on one machine."""

    space_id: str
    run_id: str
    machine_id: str
    timeout_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """How one run of a step ended, as the ledger has it. ``state`` is a ``RunState``; ``idempotent``: it may be repeated without asking."""

    run_id: str
    state: str
    code: str | None = None
    message: str | None = None
    idempotent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierInput:
    """``Courier``, id ``courier:{trust_id}``: takes the outbox of a trust to its peer and brings back what the peer has; lives as long as the trust."""

    space_id: str
    trust_id: str
    poll_seconds: float = 15.0
    rounds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierInput:
    """``ExportCarrier`` id ``carrier-export:{carrier_id}``; ``ImportCarrier`` id ``carrier-import:{carrier_id}``."""

    space_id: str
    task_id: str
    carrier_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyUploadInput:
    """``VerifyUpload``, id ``verify:{upload_id}``: re-reads an uploaded object, hashes it, then makes what it was uploaded for."""

    space_id: str
    task_id: str
    upload_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptSeen:
    """The signal ``receipt`` of ``PromoteRelease``: a verified receipt was stored and applied; the promotion's row says what it changed."""

    receipt_id: str
    event: str
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryResult:
    """How a story ended: the task's final state and, when it did not succeed, the code."""

    state: str
    code: str | None = None
    message: str | None = None
