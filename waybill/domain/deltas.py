# SPDX-License-Identifier: Apache-2.0
"""Deltas of packages as the ledger knows them: what was made here, what came here, and what can be made again here."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

EVERY_WORKER = "transfer"
"""``id`` of the one ``EncodersHere``: the transfer workers of a site are alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """Something that makes compressed streams again, as an inventory names it: ``sha256`` stands for its name and its output (inventory-v1)."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodersHere:
    """What the transfer workers of this site found that they can run; of the site, not of a Space."""

    id: str
    encoders: tuple[Encoder, ...]
    noted_at: datetime
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeDelta:
    """A delta between two blobs of this site, made once for every target with the same encoders; of the site, not of a Space.

    ``id`` says from what it was made (``waybill.app.deltas``). ``sha256`` None: it was not worth keeping, ``size_bytes`` says why.
    """

    id: str
    base_sha256: str
    new_sha256: str
    sha256: str | None
    size_bytes: int
    made_at: datetime
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedDelta:
    """A delta as one side offers it to the other: ``sha256`` and ``size_bytes`` are its own."""

    base_sha256: str
    sha256: str
    size_bytes: int


class ArrivalState(StrEnum):
    """``coming`` until every part lies here, ``here`` until it was tried, ``refused`` with its code when it did not serve."""

    COMING = "coming"
    HERE = "here"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivedDelta:
    """A delta that a peer sends instead of the blob ``target_sha256``; gone once that blob is here.

    ``id`` is ``{trust id}:{target}``: whoever sent one that did not serve sends that blob whole.
    """

    id: str
    space_id: str
    trust_id: str
    target_sha256: str
    base_sha256: str
    sha256: str
    size_bytes: int
    state: ArrivalState
    created_at: datetime
    code: str | None = None
    revision: int = 1
