# SPDX-License-Identifier: Apache-2.0
"""Signed envelopes as they were made or as they came, stored once by their digest in the ledger."""

import hashlib
from datetime import datetime

from waybill.domain.releases import Document
from waybill.errors import ConflictError
from waybill.formats import envelope
from waybill.ports import Work


def store(work: Work, *, body: bytes, kind: str, created_at: datetime) -> Document:
    """The envelope is in the ledger of this Space; storing the same bytes again returns the first row.

    Args:
        body: an encoded envelope; it was verified, or signed here, before this is called.
        kind: ``release | delivery | receipt | inventory | need_list | recall | identity | revocation | carrier_index``.
    """
    sha256 = hashlib.sha256(body).hexdigest()
    key = f"{work.space_id}:{sha256}"
    found = work.of(Document).find(key)
    if found is not None:
        return found
    payload_sha256 = hashlib.sha256(envelope.decode(body).payload).hexdigest()
    row = Document(
        id=key, space_id=work.space_id, sha256=sha256, payload_sha256=payload_sha256, kind=kind, body=body, created_at=created_at
    )
    try:
        return work.of(Document).add(row)
    except ConflictError:  # another writer stored the same bytes between the look and the add
        return work.of(Document).get(key)


def load(work: Work, sha256: str) -> Document:
    """The stored envelope with this digest. Raises NotFoundError record.absent."""
    return work.of(Document).get(f"{work.space_id}:{sha256}")
