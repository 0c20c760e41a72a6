# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the audit log: the hash of a line, its link to the line before, and a Merkle tree over all of them.

The chain shows that nothing inside the log changed; the checkpoint (size and root) is small enough to travel to a peer, who is the witness.
A frontier holds the roots of the perfect subtrees, largest first, so that appending and the root cost O(log n).
Nothing here stores anything; the ledger does.

Source: RFC 6962, section 2.1 (leaf and node hashes, tree shape).
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from waybill.domain.access import AuditEntry
from waybill.domain.ids import make_id

GENESIS: Final = "0" * 64
"""The ``prev_sha256`` of the first entry of a Space."""

_SCHEMA: Final = "waybill.audit-entry.v1"


def entry_sha256(*, space_id: str, seq: int, at: datetime, actor: str, action: str, subject: str, detail: str, prev_sha256: str) -> str:
    """The digest of one line, lower-case hexadecimal.

    It covers the JSON array ``[schema, space_id, seq, at, actor, action, subject, detail, prev_sha256]`` without whitespace, in UTF-8,
    with ``at`` as ``YYYY-MM-DDThh:mm:ss.ffffffZ``. The entry's id is derived from the digest and therefore not part of it.
    """
    moment = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    fields = [_SCHEMA, space_id, seq, moment, actor, action, subject, detail, prev_sha256]
    return hashlib.sha256(json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def next_entry(
    *, space_id: str, last_seq: int, last_sha256: str, at: datetime, actor: str, action: str, subject: str, detail: str
) -> AuditEntry:
    """The entry that follows number ``last_seq`` (0 and ``GENESIS`` before the first)."""
    seq = last_seq + 1
    digest = entry_sha256(
        space_id=space_id, seq=seq, at=at, actor=actor, action=action, subject=subject, detail=detail, prev_sha256=last_sha256
    )
    unix_ms = int(at.timestamp() * 1000)
    return AuditEntry(
        id=make_id("aud", unix_ms=unix_ms, entropy=bytes.fromhex(digest)[:10]),
        space_id=space_id,
        seq=seq,
        at=at,
        actor=actor,
        action=action,
        subject=subject,
        detail=detail,
        prev_sha256=last_sha256,
        sha256=digest,
    )


def is_linked(entry: AuditEntry, *, last_seq: int, last_sha256: str) -> bool:
    """True when ``entry`` is exactly the line that may stand after ``last_seq``: number, link and digest fit its content."""
    if entry.seq != last_seq + 1 or entry.prev_sha256 != last_sha256:
        return False
    return entry.sha256 == entry_sha256(
        space_id=entry.space_id,
        seq=entry.seq,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        detail=entry.detail,
        prev_sha256=entry.prev_sha256,
    )


def leaf_hash(sha256: str) -> str:
    """The Merkle leaf of an entry, from the entry's own digest (hexadecimal)."""
    return hashlib.sha256(b"\x00" + bytes.fromhex(sha256)).hexdigest()


def node_hash(left: str, right: str) -> str:
    """The Merkle node over two subtrees (hexadecimal)."""
    return hashlib.sha256(b"\x01" + bytes.fromhex(left) + bytes.fromhex(right)).hexdigest()


def frontier_append(frontier: Sequence[str], *, size: int, leaf: str) -> tuple[str, ...]:
    """The frontier after ``leaf`` joined a tree of ``size`` leaves.

    Args:
        frontier: roots of the perfect subtrees, largest first; one for each bit that is set in ``size``.
        size: leaves before this one.
        leaf: a ``leaf_hash``.
    """
    if len(frontier) != size.bit_count():
        raise ValueError("the frontier does not belong to a tree of this size")
    nodes = list(frontier)
    carry = leaf
    # Each trailing 1 of the size is a subtree as tall as the carry: the two become one, as in binary addition.
    while size & 1:
        carry = node_hash(nodes.pop(), carry)
        size >>= 1
    return (*nodes, carry)


def frontier_root(frontier: Sequence[str]) -> str:
    """The root of the tree that ``frontier`` stands for; that of an empty tree is the digest of nothing."""
    if not frontier:
        return hashlib.sha256(b"").hexdigest()
    root = frontier[-1]
    for node in reversed(frontier[:-1]):
        root = node_hash(node, root)
    return root


def root_of(sha256s: Iterable[str]) -> tuple[int, str]:
    """Size and root of the tree over entry digests, streamed in their order."""
    frontier: tuple[str, ...] = ()
    size = 0
    for digest in sha256s:
        frontier = frontier_append(frontier, size=size, leaf=leaf_hash(digest))
        size += 1
    return size, frontier_root(frontier)
