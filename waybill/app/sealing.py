# SPDX-License-Identifier: Apache-2.0
"""The Delivery of one release to one Remote Space: what is meant for that target, sealed to its key, and nothing about any other.

Refused: a secret that cannot be opened here or sealed there; a relay that nobody granted; a way back into the custody chain.
No error of this module holds a value.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from waybill.app import audit, freezing, identity, inventories, secrets, snapshots
from waybill.app.lanes import NextPlace
from waybill.app.revocations import current_peer
from waybill.domain.bundles import Need
from waybill.domain.deployments import Deployment, DeploymentState
from waybill.domain.releases import Document, Release, SnapshotValue
from waybill.domain.spaces import Environment, SpaceKeys
from waybill.domain.trusts import Road, Trust, TrustState
from waybill.errors import TrustError
from waybill.formats import envelope
from waybill.formats.delivery import (
    AuditCheckpoint,
    CustodyLink,
    DeliveryDoc,
    DeliveryEnvironment,
    DeliverySender,
    DeliveryTarget,
    DeliveryValue,
    HistoryEntry,
    ReleaseRef,
)
from waybill.formats.release import ReleaseDoc
from waybill.ports import Ports, Work
from waybill.trust import keys, seal, verify
from waybill.trust.keys import SigningKey
from waybill.trust.verify import TrustedPeer

CONNECTED_LIFE: Final = timedelta(days=30)
CARRIER_LIFE: Final = timedelta(days=90)
MAX_HISTORY: Final = 200
"""Newest deployments that a Delivery tells of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """One release on its way to one target: everything that a Delivery is made from."""

    release: Release
    doc: ReleaseDoc
    document: Document
    trust: Trust
    delivery_id: str
    now: datetime


def check_trust(work: Work, trust: Trust, now: datetime) -> TrustedPeer:
    """The peer, its identity verified again, when releases may be sent under the trust.

    Raises:
        TrustError: trust.retired, trust.unconfirmed (with the fingerprint), trust.direction_denied, and what verification of the identity raises.
    """
    if trust.state is TrustState.RETIRED:
        raise TrustError("trust.retired", f"the trust with {trust.name} has been ended", field="trust", found=trust.name)
    if trust.state is TrustState.PENDING:
        raise TrustError(
            "trust.unconfirmed",
            f"the fingerprint of {trust.name} has not been confirmed",
            field="trust",
            expected="active",
            found=trust.fingerprint,
        )
    if not trust.grants.send_releases:
        raise TrustError("trust.direction_denied", f"the trust with {trust.name} does not grant to send releases", field="send_releases")
    peer = current_peer(work, trust, now)
    peer.encryption_key(now)
    return peer


def check_relay(work: Work, release: Release, doc: ReleaseDoc, trust: Trust) -> DeliveryDoc | None:
    """The Delivery with which an imported release came, when it may go on to that target; None for an own release.

    Either the trust under which it came or the one under which it would go must grant ``relay``.

    Raises:
        TrustError: bundle.loop, when the target stands in the custody chain already (A28); trust.relay_denied.
    """
    if release.delivery_sha256 is None:
        return None
    incoming = incoming_delivery(work, release)
    chain = {doc.owner.space_id, incoming.sender.space_id, *(link.space_id for link in incoming.custody)}
    if trust.peer_space_id in chain:
        raise TrustError("bundle.loop", f"{trust.name} already stands in the custody chain", field="trust", found=trust.name)
    came_under = work.of(Trust).find(release.trust_id or "")
    if not trust.grants.relay and not (came_under is not None and came_under.grants.relay):
        raise TrustError("trust.relay_denied", "no trust grants to forward this release", field="relay", expected="the relay grant")
    return incoming


def incoming_delivery(work: Work, release: Release) -> DeliveryDoc:
    """The Delivery with which an imported release came, pinned by its digest."""
    document = work.of(Document).first(payload_sha256=release.delivery_sha256, kind="delivery")
    if document is None:
        raise TrustError("trust.relay_denied", "the delivery with which the release came is not here", field="release", found=release.id)
    return verify.reopen_delivery(document.body, bundle_sha256=release.delivery_sha256 or "")


def make_delivery(ports: Ports, work: Work, crossing: Crossing, place: NextPlace, key: SigningKey) -> DeliveryDoc:
    """The whole Delivery, secrets sealed to the newest valid encryption key of the target.

    Raises:
        TrustError: as ``check_trust`` and ``check_relay``; suite.not_allowed; trust.key_weak.
        UnavailableError: keystore.unavailable, when a secret does not open here.
    """
    peer = check_trust(work, crossing.trust, crossing.now)
    theirs = peer.identity
    incoming = check_relay(work, crossing.release, crossing.doc, crossing.trust)
    recipient = peer.encryption_key(crossing.now)
    own = identity.document_of(work.of(SpaceKeys).get(work.space_id))
    life = CARRIER_LIFE if crossing.trust.road is Road.CARRIER else CONNECTED_LIFE
    seen = audit.checkpoint(work)
    known = inventories.newest(work, crossing.trust.id)
    environments = {row.id: row for row in work.of(Environment).where()}
    created_at = crossing.now.replace(microsecond=0)
    bare = DeliveryDoc(
        delivery_id=crossing.delivery_id,
        epoch=place.lane.epoch,
        seq=place.seq,
        prev_delivery_sha256=place.prev_sha256,
        created_at=created_at,
        not_before=created_at,
        expires_at=created_at + life,
        sender=DeliverySender(space_id=work.space_id, name=own.name, key_sha256=key.spki_sha256),
        target=DeliveryTarget(
            space_id=crossing.trust.peer_space_id, enc_key_sha256=recipient.spki_sha256, suite=seal.choose_suite(theirs.doc.suites)
        ),
        release=ReleaseRef(sha256=crossing.release.release_sha256, size_bytes=len(envelope.decode(crossing.document.body).payload)),
        environments=_environments(crossing.trust, environments.values()),
        history=_history(work, crossing, own.name, environments),
        custody=_custody(incoming, crossing.release),
        identities=_identities(work, crossing, incoming),
        inventory_basis=None if known is None else known.basis,
        audit_checkpoint=AuditCheckpoint(origin=seen.origin, size=seen.size, root=seen.root),
    )
    public = keys.encryption_public_key(next(der for der in theirs.doc.encryption if keys.spki_sha256(der) == recipient.spki_sha256))
    values = snapshots.values_of(work, crossing.release.id)
    return replace(bare, values=tuple(_values(ports, bare, values, environments, crossing.trust.id, public)))


def blobs_of(doc: ReleaseDoc) -> tuple[Need, ...]:
    """Everything that a target must hold to deploy the release, each digest once, in manifest order."""
    listed = [
        Need(sha256=one.sha256, size_bytes=one.size_bytes, role="package", name=f"{one.package_id} {one.version}") for one in doc.packages
    ]
    listed += [
        Need(sha256=one.sha256, size_bytes=one.size_bytes, role="step_package", name=f"{one.package_id} {one.version}")
        for one in doc.step_packages
    ]
    listed += [Need(sha256=one.sha256, size_bytes=one.size_bytes, role="attachment", name=one.name) for one in doc.attachments]
    return tuple({need.sha256: need for need in reversed(listed)}[digest] for digest in dict.fromkeys(need.sha256 for need in listed))


def _values(
    ports: Ports,
    bare: DeliveryDoc,
    values: Sequence[SnapshotValue],
    environments: Mapping[str, Environment],
    trust_id: str,
    recipient_public: bytes,
) -> Iterable[DeliveryValue]:
    """What the Release leaves out and this target needs: values scoped to it, and secrets that are scoped to no environment."""
    for row in values:
        scope = freezing.target_scope(row.scope, environments, trust_id)
        if scope is None and row.sealed is not None and not row.scope.environments:
            scope = freezing.common_scope(row.scope, environments)
        if scope is None or row.template is not None:
            continue
        sealed = None
        if row.sealed is not None:
            plain = secrets.open_snapshot(ports, row.sealed, row_id=row.id, space_id=row.space_id)
            context = seal.context_of(bare, variable_id=row.variable_id, name=row.name, scope=scope)
            sealed = seal.seal_value(plain.encode("utf-8"), recipient_public=recipient_public, context=context)
        yield DeliveryValue(variable_id=row.variable_id, name=row.name, type=row.type, scope=scope, value=row.value, sealed=sealed)


def _environments(trust: Trust, environments: Iterable[Environment]) -> tuple[DeliveryEnvironment, ...]:
    """The target's own environments as we know them: never a name of anybody else's, ours included."""
    theirs = sorted((row for row in environments if row.trust_id == trust.id), key=lambda row: row.id)
    return tuple(DeliveryEnvironment(id=row.id, name=row.name) for row in theirs)


def _history(work: Work, crossing: Crossing, own_name: str, environments: Mapping[str, Environment]) -> tuple[HistoryEntry, ...]:
    """Our own deployments of the release. What other Spaces did with it is never told (A11)."""
    if not crossing.trust.grants.send_history:
        return ()
    rows = work.of(Deployment).where(newest_first=True, limit=MAX_HISTORY, release_row_id=crossing.release.id)
    told = (DeploymentState.SUCCEEDED, DeploymentState.FAILED)
    return tuple(
        HistoryEntry(space=own_name, environment=environments[row.environment_id].name, state=row.state.value, finished_at=row.finished_at)
        for row in reversed(rows)
        if row.state in told and row.environment_id in environments
    )


def _custody(incoming: DeliveryDoc | None, release: Release) -> tuple[CustodyLink, ...]:
    if incoming is None:
        return ()
    link = CustodyLink(space_id=incoming.sender.space_id, delivery_sha256=release.delivery_sha256 or "", release_verified=True)
    return (*incoming.custody, link)


def _identities(work: Work, crossing: Crossing, incoming: DeliveryDoc | None) -> tuple[bytes, ...]:
    """Our current identity, and for a relay the owner's, under which the target verifies the Release."""
    ours = work.of(SpaceKeys).get(work.space_id).identity_envelope
    if incoming is None:
        return (ours,)
    owner_id = crossing.doc.owner.space_id
    of_owner = [row.identity_envelope for row in work.of(Trust).where(peer_space_id=owner_id) if row.state is TrustState.ACTIVE]
    carried = [one for one in incoming.identities if verify.verify_identity(one, now=crossing.now).doc.space_id == owner_id]
    return tuple(dict.fromkeys([ours, *of_owner, *carried]))
