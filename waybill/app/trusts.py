# SPDX-License-Identifier: Apache-2.0
"""Trusts with Remote Spaces: registered from an identity file, confirmed by fingerprint, changed, renewed, ended.

Refused: an identity that does not verify, a Space that is registered already, a name that people would mix up with another,
a road on which nobody could travel. Nothing passes under a trust before its fingerprint was confirmed.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime

from waybill.app import access, ids, lookup
from waybill.app.revisions import check_revision
from waybill.domain.access import Caller, Permission
from waybill.domain.names import check_name, find_lookalike, free_slug
from waybill.domain.spaces import Space
from waybill.domain.stories import CourierInput
from waybill.domain.trusts import Grants, Road, Trust, TrustState
from waybill.errors import ConflictError, FormatError, PolicyError, TrustError, UnavailableError
from waybill.formats.identity import IdentityDoc
from waybill.ports import SITE, PeerAddress, Ports, Work
from waybill.trust import verify
from waybill.trust.verify import TrustedPeer


def register_trust(ports: Ports, caller: Caller, *, space_id: str, identity: bytes, name: str, road: Road, grants: Grants) -> Trust:
    """A pending trust with the Space whose identity envelope this is; nothing passes until it is confirmed.

    Args:
        identity: the signed identity document as exported on the other side.
        name: how the Remote Space is called here.
    Raises:
        FormatError, TrustError: every code of identity verification.
        ConflictError: trust.exists; trust.name_conflict, when the name reads like another one or like this Space's own.
        PolicyError: outbound.denied, for road ``call`` when the site opens no connection to any peer.
    """
    access.require(caller, space_id, Permission.TRUST_EDIT)
    checked = check_name(name, field="name")
    now = ports.clock.now()
    verified = verify.verify_identity(identity, now=now)
    _check_road(ports, road, verified.doc)
    own_name = _name_of(ports, space_id)
    with ports.ledger.write(space_id) as work:
        rows = [row for row in work.of(Trust).where() if row.state is not TrustState.RETIRED]
        _refuse_known(space_id, verified.doc.space_id, rows)
        _free_name(checked, [own_name, *(row.name for row in rows)])
        trust = Trust(
            id=ids.fresh(ports, "trs"),
            space_id=space_id,
            slug=free_slug(checked, {row.slug for row in rows}),
            name=checked,
            peer_space_id=verified.doc.space_id,
            peer_name=verified.doc.name,
            fingerprint=verified.fingerprint,
            identity_version=verified.doc.version,
            identity_envelope=identity,
            state=TrustState.PENDING,
            road=road,
            grants=grants,
            created_at=now,
            created_by=caller.name,
        )
        _audit(work, caller, now, "trust.registered", trust, trust.fingerprint)
        return work.of(Trust).add(trust)


def confirm_trust(ports: Ports, caller: Caller, *, space_id: str, trust: str, fingerprint: str, if_revision: int) -> Trust:
    """The trust is active; its Courier runs when the road is ``call``. Confirming again changes nothing.

    Args:
        fingerprint: 64 hexadecimal digits as read out by the other side; blanks, colons and case are ignored.
    Raises:
        TrustError: trust.fingerprint_mismatch; trust.retired. ConflictError: record.stale.
    """
    access.require(caller, space_id, Permission.TRUST_EDIT)
    given = "".join(fingerprint.split()).replace(":", "").lower()
    now = ports.clock.now()
    with ports.ledger.write(space_id) as work:
        row = _living(work, trust)
        if given != row.fingerprint:
            raise TrustError(
                "trust.fingerprint_mismatch",
                "that is not the fingerprint of this identity",
                field="fingerprint",
                expected=row.fingerprint,
                found=given[:80],
            )
        if row.state is TrustState.PENDING:
            check_revision(row, if_revision)
            _audit(work, caller, now, "trust.confirmed", row, row.fingerprint)
            row = work.of(Trust).replace(replace(row, state=TrustState.ACTIVE, confirmed_at=now, confirmed_by=caller.name))
    start_courier(ports, row)
    return row


def change_trust(
    ports: Ports,
    caller: Caller,
    *,
    space_id: str,
    trust: str,
    if_revision: int,
    road: Road | None = None,
    grants: Grants | None = None,
) -> Trust:
    """The trust with another road or other grants. A Courier that runs while the road is not ``call`` rests.

    Raises:
        ConflictError: record.stale. PolicyError: outbound.denied. TrustError: trust.retired.
    """
    access.require(caller, space_id, Permission.TRUST_EDIT)
    now = ports.clock.now()
    with ports.ledger.write(space_id) as work:
        row = _living(work, trust)
        check_revision(row, if_revision)
        if road is not None:
            _check_road(ports, road, verify.verify_identity(row.identity_envelope, now=now).doc)
        changed = replace(row, road=road or row.road, grants=grants or row.grants)
        _audit(work, caller, now, "trust.changed", changed, f"{changed.road.value} {asdict(changed.grants)}")
        row = work.of(Trust).replace(changed)
    start_courier(ports, row)
    return row


def update_identity(ports: Ports, caller: Caller, *, space_id: str, trust: str, identity: bytes) -> Trust:
    """The trust with the peer's next identity version; the version that is here already changes nothing.

    Raises:
        TrustError: trust.identity_stale, trust.rotation_unauthorised, and every other code of identity verification.
    """
    access.require(caller, space_id, Permission.TRUST_EDIT)
    now = ports.clock.now()
    with ports.ledger.write(space_id) as work:
        row = _living(work, trust)
        if identity == row.identity_envelope:
            return row
        current = verify.verify_identity(row.identity_envelope, now=now)
        renewed = verify.verify_identity_update(current, identity, now=now)
        changed = replace(
            row,
            identity_envelope=identity,
            identity_version=renewed.doc.version,
            fingerprint=renewed.fingerprint,
            peer_name=renewed.doc.name,
        )
        _audit(work, caller, now, "trust.identity_updated", changed, f"version {renewed.doc.version}")
        return work.of(Trust).replace(changed)


def retire_trust(ports: Ports, caller: Caller, *, space_id: str, trust: str, if_revision: int) -> Trust:
    """The trust is ended for ever; its Courier is stopped. What was imported stays. Raises ConflictError record.stale."""
    access.require(caller, space_id, Permission.TRUST_EDIT)
    now = ports.clock.now()
    with ports.ledger.write(space_id) as work:
        row = _living(work, trust)
        check_revision(row, if_revision)
        _audit(work, caller, now, "trust.retired", row, row.fingerprint)
        row = work.of(Trust).replace(replace(row, state=TrustState.RETIRED))
    try:
        ports.engine.cancel(courier_id(row.id))
    except UnavailableError:
        # The Courier reads the trust each round and ends by itself when it finds it retired.
        return row
    return row


def list_trusts(ports: Ports, caller: Caller, *, space_id: str) -> list[Trust]:
    """All trusts of this Space by name, ended ones last."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return sorted(work.of(Trust).where(), key=lambda row: (row.state is TrustState.RETIRED, row.name.casefold()))


def get_trust(ports: Ports, caller: Caller, *, space_id: str, trust: str) -> Trust:
    """One trust, by id, slug, name or peer Space id. Raises NotFoundError record.absent."""
    access.require(caller, space_id, Permission.SPACE_READ)
    with ports.ledger.read(space_id) as work:
        return lookup.find_trust(work, trust)


def peers(ports: Ports, work: Work, now: datetime) -> list[TrustedPeer]:
    """Every trust as verification wants them, living ones first, ended ones too so that a refusal can say so.

    Identities are verified again; one that no longer verifies is left out.
    """
    del ports  # everything that counts stands in the rows
    found = []
    for row in sorted(work.of(Trust).where(), key=lambda row: row.state is TrustState.RETIRED):
        try:
            found.append(verify.peer_of(row, now))
        except (FormatError, TrustError):
            # A row that was tampered with or that has expired must not shut the door for the others.
            continue
    return found


def address(ports: Ports, trust: Trust) -> PeerAddress:
    """Where the peer's API listens, from its signed identity.

    Raises:
        PolicyError: outbound.denied, when this site opens no connection to any peer.
        UnavailableError: peer.unavailable, when the peer publishes no address.
    """
    if ports.site.outbound_peers == "none":
        raise PolicyError(
            "outbound.denied", "this site opens no connection to any peer", field="outbound_peers", expected="any", found="none"
        )
    endpoint = verify.verify_identity(trust.identity_envelope, now=ports.clock.now()).doc.endpoint("api")
    if endpoint is None:
        raise UnavailableError("peer.unavailable", f"{trust.name} publishes no address", field="trust", found=trust.name)
    return PeerAddress(base_url=endpoint.url, ca_pem=endpoint.ca_pem)


def courier_id(trust_id: str) -> str:
    """The workflow id of the trust's Courier."""
    return f"courier:{trust_id}"


def start_courier(ports: Ports, trust: Trust) -> None:
    """The Courier of an active trust with road ``call`` runs and looks now. An engine that is away is no fault: the sweep repeats this."""
    if trust.state is not TrustState.ACTIVE:
        return
    courier = CourierInput(space_id=trust.space_id, trust_id=trust.id, poll_seconds=ports.site.courier_poll_seconds)
    try:
        if trust.road is Road.CALL:
            ports.engine.start(
                story="Courier", workflow_id=courier_id(trust.id), story_input=asdict(courier), summary=f"Courier of {trust.name}"
            )
        ports.engine.signal(courier_id(trust.id), "wake", trust.id)
    except UnavailableError:
        return


def start_couriers(ports: Ports, *, space_id: str) -> int:
    """Every active trust with road ``call`` has its Courier; returns how many such trusts there are. For the control worker's sweep."""
    with ports.ledger.read(space_id) as work:
        calling = [row for row in work.of(Trust).where(state=TrustState.ACTIVE) if row.road is Road.CALL]
    for row in calling:
        courier = CourierInput(space_id=space_id, trust_id=row.id, poll_seconds=ports.site.courier_poll_seconds)
        ports.engine.start(story="Courier", workflow_id=courier_id(row.id), story_input=asdict(courier), summary=f"Courier of {row.name}")
    return len(calling)


def _living(work: Work, trust: str) -> Trust:
    row = lookup.find_trust(work, trust)
    if row.state is TrustState.RETIRED:
        raise TrustError("trust.retired", f"the trust with {row.name} has been ended", field="trust", found=row.name)
    return row


def _refuse_known(space_id: str, peer_space_id: str, rows: Sequence[Trust]) -> None:
    if peer_space_id == space_id:
        raise ConflictError("trust.exists", "that is this Space's own identity", field="identity", expected="the identity of another Space")
    known = next((row for row in rows if row.peer_space_id == peer_space_id), None)
    if known is not None:
        raise ConflictError("trust.exists", f"that Space is registered as {known.name}", field="identity", found=known.name)


def _free_name(name: str, taken: Sequence[str]) -> None:
    other = find_lookalike(name, taken)
    if other is not None:
        raise ConflictError(
            "trust.name_conflict", "the name reads like another one", field="name", expected="a clearly different name", found=other
        )


def _check_road(ports: Ports, road: Road, theirs: IdentityDoc) -> None:
    """Nothing, when somebody can travel on the road."""
    if road is Road.CALL and ports.site.outbound_peers == "none":
        raise PolicyError(
            "outbound.denied", "this site opens no connection to any peer", field="road", expected="answer | carrier", found=road.value
        )
    if road is Road.CALL and theirs.endpoint("api") is None:
        raise FormatError(
            "request.invalid", f"{theirs.name} publishes no address", field="road", expected="answer | carrier", found=road.value
        )
    if road is Road.ANSWER and ports.site.api_url is None:
        raise FormatError("request.invalid", "this site publishes no address", field="road", expected="call | carrier", found=road.value)


def _name_of(ports: Ports, space_id: str) -> str:
    with ports.ledger.read(SITE) as work:
        space = work.of(Space).find(space_id)
    return space.name if space else ""


def _audit(work: Work, caller: Caller, at: datetime, action: str, trust: Trust, detail: str) -> None:
    work.audit(at=at, actor=caller.name, action=action, subject=trust.id, detail=f"{trust.name}: {detail}")
