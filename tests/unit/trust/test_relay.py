# SPDX-License-Identifier: Apache-2.0
"""A release that is sent on: the same bytes under the owner's signature, from Space to Space."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.unit.trust.test_bundle import DOC, RELEASE, SENT, accept, refused, resent
from tests.vectors import world
from tests.vectors.world import ALL, NOW, STRANGER, A, B, C, Party
from waybill.formats import delivery, envelope, release
from waybill.formats.delivery import CustodyLink, DeliveryDoc
from waybill.trust import identity as issuing
from waybill.trust import keys, seal, sign, verify

RELAY = replace(ALL, relay=True)
RELAYED, SAME_RELEASE = world.relayed_bundle()
AT_C = (B.trusted(RELAY),)
RELAYED_DOC = delivery.decode(envelope.decode(RELAYED).payload)


def relayed(signer: Party = B, **changes: Any) -> bytes:
    """B's delivery to C with changes, signed properly."""
    doc: DeliveryDoc = replace(RELAYED_DOC, **changes)
    return world.sign_delivery(doc, signer)


def test_a_release_relayed_from_a_over_b_to_c() -> None:
    """The same bytes under A's signature verify at C, which knows only B; the secret was sealed again for C."""
    assert SAME_RELEASE == RELEASE
    bundle = accept(RELAYED, SAME_RELEASE, us=C.us, peers=AT_C)
    assert (bundle.peer.space_id, bundle.owner.doc.space_id) == (B.space_id, A.space_id)
    assert bundle.release_sha256 == accept().release_sha256
    assert [link.space_id for link in bundle.via] == [A.space_id]
    value = bundle.delivery.values[0]
    assert value.sealed is not None
    context = seal.context_of(bundle.delivery, variable_id=value.variable_id, name=value.name, scope=value.scope)
    assert seal.open_value(value.sealed, private_key=C.material.encryption_key, context=context) == world.SECRET.encode()


def test_a_relay_needs_the_grant() -> None:
    """Without it, the trust in B says nothing about releases of A."""
    assert refused(RELAYED, SAME_RELEASE, us=C.us, peers=(B.trusted(ALL),)) == "trust.relay_denied"


def test_a_trust_of_our_own_in_the_owner_serves_without_the_grant() -> None:
    """C trusts A directly: then the identity comes from there, whatever B sends along."""
    peers = (B.trusted(ALL), A.trusted())
    assert accept(relayed(identities=()), SAME_RELEASE, us=C.us, peers=peers).owner == A.identity
    denied = (B.trusted(ALL), A.trusted(replace(ALL, accept_releases=False)))
    assert refused(RELAYED, SAME_RELEASE, us=C.us, peers=denied) == "trust.relay_denied"


def test_a_relay_cannot_bring_another_identity_of_an_owner_we_know() -> None:
    """Even a pending trust in A pins the fingerprint."""
    impostor = world.make_party("Impostor")
    fake = replace(impostor, space_id=A.space_id, material=keys.generate(A.space_id, "DevTest", NOW, seeds=world.seeds("fake")))
    envelope_of_fake = issuing.issue(fake.material, space_id=A.space_id, name="DevTest", version=1, prev_sha256=None, endpoints=(), now=NOW)
    faked = sign.sign_envelope(release.PAYLOAD_TYPE, envelope.decode(RELEASE).payload, fake.material.signing)
    sent = relayed(identities=(envelope_of_fake,))
    assert refused(sent, faked, us=C.us, peers=(B.trusted(RELAY), A.trusted(confirmed=False))) == "trust.fingerprint_mismatch"
    assert refused(sent, faked, us=C.us, peers=(B.trusted(RELAY), A.trusted())) == "signature.untrusted"


def test_the_identity_of_the_owner_must_come_along() -> None:
    """A relayed delivery without it, or with that of somebody else, cannot be verified."""
    assert refused(relayed(identities=()), SAME_RELEASE, us=C.us, peers=AT_C) == "trust.identity_invalid"
    assert refused(relayed(identities=(STRANGER.envelope,)), SAME_RELEASE, us=C.us, peers=AT_C) == "trust.identity_invalid"


def test_a_forged_identity_of_the_owner() -> None:
    """What the relay brings along is verified like any identity."""
    spoiled = envelope.decode(A.envelope)
    forged = envelope.encode(replace(spoiled, signatures=(replace(spoiled.signatures[0], sig=bytes(64)),)))
    assert refused(relayed(identities=(forged,)), SAME_RELEASE, us=C.us, peers=AT_C) == "signature.invalid"


def link(party: Party, **changes: Any) -> CustodyLink:
    """One link of a chain."""
    return replace(CustodyLink(space_id=party.space_id, delivery_sha256=world.digest(party.name), release_verified=True), **changes)


def test_broken_chains() -> None:
    """A chain with its first link cut out, one that names a Space twice, and one beside the owner's own delivery are refused."""
    for custody in ((), (link(STRANGER),), (link(A), link(A)), (link(A), link(B))):
        assert refused(relayed(custody=custody), SAME_RELEASE, us=C.us, peers=AT_C) == "bundle.source_mismatch"
    assert refused(resent(custody=(link(A),))) == "bundle.source_mismatch"


def test_every_hop_verified_the_release() -> None:
    """A hop that says that it did not is refused."""
    assert refused(relayed(custody=(link(A, release_verified=False),)), SAME_RELEASE, us=C.us, peers=AT_C) == "trust.relay_denied"


def test_loops_are_refused() -> None:
    """A release that passed through us, or is ours, does not come back."""
    assert refused(relayed(custody=(link(A), link(C))), SAME_RELEASE, us=C.us, peers=AT_C) == "bundle.loop"
    back = replace(RELAYED_DOC, target=replace(RELAYED_DOC.target, space_id=A.space_id, enc_key_sha256=A.us.encryption_key_sha256s[0]))
    assert refused(world.sign_delivery(back, B), SAME_RELEASE, us=A.us, peers=AT_C) == "bundle.loop"


def test_old_keys_of_the_owner() -> None:
    """The owner may send an old release under its old leaf with a fresh delivery; a relay may not."""
    later = NOW + timedelta(days=400)
    renewed = keys.renew_leaves(A.material, "DevTest", later, seeds=world.seeds("later leaf"))
    data = issuing.issue(
        renewed,
        space_id=A.space_id,
        name="DevTest",
        version=2,
        prev_sha256=A.identity.payload_sha256,
        endpoints=(),
        now=later,
        older=A.identity.doc,
    )
    now_a = verify.verify_identity_update(A.identity, data, now=later)
    times: dict[str, Any] = {"created_at": later, "not_before": later, "expires_at": later + timedelta(days=30)}
    fresh = replace(SENT, sender=replace(SENT.sender, key_sha256=renewed.signing.spki_sha256), **times)
    sent = sign.sign_envelope(delivery.PAYLOAD_TYPE, delivery.encode(fresh), renewed.signing)
    assert accept(sent, peers=(replace(A.trusted(), identity=now_a),), now=later).release == DOC
    b_later = keys.renew_leaves(B.material, "Prod", later, seeds=world.seeds("later B"))
    b_data = issuing.issue(
        b_later,
        space_id=B.space_id,
        name="Prod",
        version=2,
        prev_sha256=B.identity.payload_sha256,
        endpoints=(),
        now=later,
        older=B.identity.doc,
    )
    b_peer = replace(B.trusted(RELAY), identity=verify.verify_identity_update(B.identity, b_data, now=later))
    onward = replace(RELAYED_DOC, identities=(data,), sender=replace(RELAYED_DOC.sender, key_sha256=b_later.signing.spki_sha256), **times)
    onward_sent = sign.sign_envelope(delivery.PAYLOAD_TYPE, delivery.encode(onward), b_later.signing)
    assert refused(onward_sent, us=C.us, peers=(b_peer,), now=later) == "trust.key_expired"
