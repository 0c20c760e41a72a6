# SPDX-License-Identifier: Apache-2.0
"""The audit log of a Space: read, checked link by link, and summed up in the checkpoint that travels in bundles and receipts.

The peer that receives a checkpoint is the witness: a log that was rewritten later no longer has that root at that size (security.md row 99).
"""

from dataclasses import dataclass

from waybill.app import access
from waybill.domain.access import Caller, Permission
from waybill.domain.audit import GENESIS, is_linked
from waybill.errors import TrustError
from waybill.ports import Page, Ports, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How long the log was and what its Merkle root was then. ``origin`` is the Space id."""

    origin: str
    size: int
    root: str


def list_audit(ports: Ports, caller: Caller, *, space_id: str, limit: int = 50, cursor: str | None = None) -> Page:
    """One page of audit entries, newest first."""
    access.require(caller, space_id, Permission.AUDIT_READ)
    with ports.ledger.read(space_id) as work:
        return work.audit_page(limit=limit, cursor=cursor)


def verify_audit(ports: Ports, caller: Caller, *, space_id: str) -> int:
    """How many entries the log holds, when every one fits its content and the one before it.

    Raises:
        TrustError: audit.chain_broken, with the number of the first entry that does not fit.
    """
    access.require(caller, space_id, Permission.AUDIT_READ)
    last_seq, last_sha256 = 0, GENESIS
    with ports.ledger.read(space_id) as work:
        for entry in work.audit_entries():
            if not is_linked(entry, last_seq=last_seq, last_sha256=last_sha256):
                raise TrustError("audit.chain_broken", "the audit log was changed", field="seq", expected=last_seq + 1, found=entry.seq)
            last_seq, last_sha256 = entry.seq, entry.sha256
    return last_seq


def checkpoint(work: Work) -> Checkpoint:
    """Size and root of the log as this unit of work sees it."""
    size, root = work.audit_checkpoint()
    return Checkpoint(origin=work.space_id, size=size, root=root)
