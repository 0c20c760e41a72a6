# SPDX-License-Identifier: Apache-2.0
"""What is accepted as a bundle, and with which code everything else is refused."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.vectors import world
from tests.vectors.world import ALL, NOW, STRANGER, A, B, C, Party
from waybill.domain.trusts import Grants
from waybill.domain.variables import Scope
from waybill.errors import WaybillError
from waybill.formats import delivery, envelope, identity, release
from waybill.formats.identity import RevokedKey
from waybill.trust import identity as issuing
from waybill.trust import keys, seal, sign, verify
from waybill.trust.verify import TrustedPeer, Us, VerifiedBundle

DELIVERY, RELEASE = world.bundle()
DOC = world.release_doc()
SENT = delivery.decode(envelope.decode(DELIVERY).payload)
PEERS = (A.trusted(), C.trusted())


def accept(
    sent: bytes = DELIVERY, frozen: bytes = RELEASE, *, us: Us = B.us, peers: Sequence[TrustedPeer] = PEERS, now: datetime = NOW
) -> VerifiedBundle:
    """The bundle, accepted at B."""
    return verify.verify_bundle(sent, frozen, us=us, peers=peers, now=now)


def code_of(act: Callable[[], object]) -> str:
    """The code that ``act`` ends with."""
    with pytest.raises(WaybillError) as caught:
        act()
    return caught.value.code


def refused(
    sent: bytes = DELIVERY, frozen: bytes = RELEASE, *, us: Us = B.us, peers: Sequence[TrustedPeer] = PEERS, now: datetime = NOW
) -> str:
    """The code with which B refuses."""
    return code_of(lambda: accept(sent, frozen, us=us, peers=peers, now=now))


def resent(signer: Party = A, **changes: Any) -> bytes:
    """The delivery with changes, signed properly."""
    return world.sign_delivery(replace(SENT, **changes), signer)


def test_a_good_bundle() -> None:
    """Sender, owner, digests and documents come out proven."""
    bundle = accept()
    assert bundle.peer.space_id == bundle.owner.doc.space_id == A.space_id
    assert (bundle.delivery, bundle.release, bundle.is_relayed) == (SENT, DOC, False)
    assert bundle.release_sha256 == SENT.release.sha256


def test_its_secret_opens_at_the_target_only() -> None:
    """With the key of B, in its own place."""
    value = accept().delivery.values[0]
    assert value.sealed is not None
    context = seal.context_of(SENT, variable_id=value.variable_id, name=value.name, scope=value.scope)
    assert seal.open_value(value.sealed, private_key=B.material.encryption_key, context=context) == world.SECRET.encode()
    sealed = value.sealed
    assert code_of(lambda: seal.open_value(sealed, private_key=C.material.encryption_key, context=context)) == "secret.decrypt_failed"


def test_verified_bundles_cannot_be_made_by_hand() -> None:
    """Neither by replace nor from a payload."""
    with pytest.raises(TypeError):
        replace(accept(), proof=None)


def test_stolen_ciphertexts_do_not_open() -> None:
    """C lifts A's ciphertext into a delivery of its own: it is C's delivery then, and the value does not open."""
    stolen = replace(
        world.delivery_doc(world.release_doc(C), sender=C),
        values=(SENT.values[0],),
        seq=SENT.seq,
        epoch=SENT.epoch,
        delivery_id=SENT.delivery_id,
    )
    bundle = accept(world.sign_delivery(stolen, C), world.sign_release(world.release_doc(C), C))
    value = bundle.delivery.values[0]
    assert value.sealed is not None
    context = seal.context_of(bundle.delivery, variable_id=value.variable_id, name=value.name, scope=value.scope)
    sealed = value.sealed
    assert code_of(lambda: seal.open_value(sealed, private_key=B.material.encryption_key, context=context)) == "secret.decrypt_failed"


def test_swapped_ciphertexts_do_not_open() -> None:
    """Signed correctly by the sender itself, a ciphertext under another variable does not open."""
    moved = accept(resent(values=(replace(SENT.values[0], variable_id=world.VAR_URL),))).delivery.values[0]
    assert moved.sealed is not None
    context = seal.context_of(SENT, variable_id=moved.variable_id, name=moved.name, scope=Scope())
    sealed = moved.sealed
    assert code_of(lambda: seal.open_value(sealed, private_key=B.material.encryption_key, context=context)) == "secret.decrypt_failed"


def test_an_untrusted_source() -> None:
    """A key that no trust knows, whatever keyid it claims and whatever it brings along."""
    payload = envelope.decode(DELIVERY).payload
    foreign = sign.sign_envelope(delivery.PAYLOAD_TYPE, payload, STRANGER.material.signing)
    assert refused(foreign) == "signature.untrusted"
    env = envelope.decode(foreign)
    claimed = envelope.encode(replace(env, signatures=(replace(env.signatures[0], keyid=A.material.signing.spki_sha256),)))
    assert refused(claimed) == "signature.invalid"
    assert refused(peers=()) == "signature.untrusted"


@pytest.mark.parametrize("member", ["cert", "jwk", "x5c", "publicKey", "alg"])
def test_a_key_smuggled_in_the_envelope_has_no_effect(member: str) -> None:
    """Keys come from local trust only."""
    payload = envelope.decode(DELIVERY).payload
    foreign = sign.sign_envelope(delivery.PAYLOAD_TYPE, payload, STRANGER.material.signing)
    key = STRANGER.identity.signing[0].public_key.hex().encode()
    inside = foreign.replace(b'"keyid":', b'"%b":"%b","keyid":' % (member.encode(), key))
    outside = b'{"%b":"%b",' % (member.encode(), key) + foreign[1:]
    assert refused(inside) == refused(outside) == "signature.untrusted"


def test_parts_of_two_envelopes_cannot_be_mixed() -> None:
    """All swaps of payload, type and signatures between two deliveries of one Space are refused."""
    first, second = envelope.decode(DELIVERY), envelope.decode(resent(seq=9))
    for one, other in ((first, second), (second, first)):
        assert refused(envelope.encode(replace(one, payload=other.payload))) == "signature.invalid"
        assert refused(envelope.encode(replace(one, signatures=other.signatures))) == "signature.invalid"
        assert (
            refused(envelope.encode(replace(one, payload=other.payload, payload_type=release.PAYLOAD_TYPE))) == "envelope.type_unexpected"
        )
    relabelled = replace(envelope.decode(RELEASE), payload_type=delivery.PAYLOAD_TYPE)
    assert refused(envelope.encode(relabelled)) == "signature.invalid"


def test_every_bit_flip_is_refused() -> None:
    """Bits 0 and 7, and one more, of every seventh byte of both envelopes; never accepted, never another error."""
    for at in range(0, len(DELIVERY), 7):
        for bit in (1, 0x80, 1 << (at % 7)):
            flipped = DELIVERY[:at] + bytes([DELIVERY[at] ^ bit]) + DELIVERY[at + 1 :]
            assert refused(flipped) in {
                "signature.invalid",
                "signature.untrusted",
                "signature.missing",
                "envelope.malformed",
                "envelope.type_unexpected",
            }
    for at in range(0, len(RELEASE), 7):
        for bit in (1, 0x80):
            flipped = RELEASE[:at] + bytes([RELEASE[at] ^ bit]) + RELEASE[at + 1 :]
            assert refused(DELIVERY, flipped) in {
                "signature.invalid",
                "signature.untrusted",
                "signature.missing",
                "envelope.malformed",
                "envelope.type_unexpected",
                "bundle.digest_mismatch",
            }


def test_another_release_beside_the_delivery() -> None:
    """The release is named by digest; a later one by the same owner does not fit."""
    other = world.sign_release(replace(DOC, version="1.0.1"))
    assert refused(DELIVERY, other) == "bundle.digest_mismatch"
    assert refused(resent(release=replace(SENT.release, size_bytes=SENT.release.size_bytes + 1))) == "bundle.digest_mismatch"


def test_the_release_needs_its_owner_s_signature() -> None:
    """Right bytes under a key of somebody else are refused."""
    payload = envelope.decode(RELEASE).payload
    assert refused(DELIVERY, sign.sign_envelope(release.PAYLOAD_TYPE, payload, C.material.signing)) == "signature.untrusted"
    assert refused(DELIVERY, sign.sign_envelope(release.PAYLOAD_TYPE, payload, A.material.identity)) == "signature.untrusted"


def test_wrong_recipient() -> None:
    """Another Space, or a key that is not ours, even under our name."""
    assert refused(us=C.us) == "bundle.wrong_recipient"
    assert refused(us=replace(B.us, space_id=C.space_id)) == "bundle.wrong_recipient"
    assert refused(us=replace(B.us, encryption_key_sha256s=C.us.encryption_key_sha256s)) == "bundle.wrong_recipient"


def test_old_encryption_keys_of_ours_still_count() -> None:
    """A bundle that was sealed before we rotated is still for us."""
    us = replace(B.us, encryption_key_sha256s=(world.digest("newer"), *B.us.encryption_key_sha256s))
    assert accept(us=us).bundle_sha256 == accept().bundle_sha256


def test_the_sender_owns_the_key() -> None:
    """C signs a delivery that claims to be A's; or A signs with a key other than the one it names."""
    assert refused(resent(C)) == "bundle.source_mismatch"
    assert refused(resent(sender=replace(SENT.sender, key_sha256=world.digest("x")))) == "bundle.source_mismatch"


def test_trusts_that_are_not_active() -> None:
    """A pending trust and an ended one are refused by their own codes, with the fingerprint found."""
    pending = A.trusted(confirmed=False)
    assert refused(peers=(pending,)) == "trust.unconfirmed"
    assert refused(peers=(A.trusted(retired=True),)) == "trust.retired"
    with pytest.raises(WaybillError) as caught:
        accept(peers=(pending,))
    assert A.identity.fingerprint in str(caught.value.found)


def test_grants() -> None:
    """Without the grant to accept releases, or for a project that is not granted, the bundle is refused."""
    assert refused(peers=(A.trusted(replace(ALL, accept_releases=False)),)) == "trust.direction_denied"
    assert refused(peers=(A.trusted(Grants()),)) == "trust.direction_denied"
    assert refused(peers=(A.trusted(replace(ALL, projects=("Backoffice",))),)) == "trust.direction_denied"
    for granted in (("Storefront",), (DOC.project.id, "Backoffice")):
        assert accept(peers=(A.trusted(replace(ALL, projects=granted)),)).release == DOC


def test_expiry() -> None:
    """One second before its expiry it holds, from then on it does not."""
    end = SENT.expires_at
    assert accept(now=end - timedelta(seconds=1)).delivery == SENT
    for moment in (end, end + timedelta(seconds=1)):
        assert refused(now=moment) == "bundle.expired"


def test_future() -> None:
    """300 seconds ahead are allowed, one more is not; the same for not_before."""
    ahead = NOW + timedelta(seconds=300)
    assert accept(resent(created_at=ahead, not_before=ahead)).delivery.created_at == ahead
    late = ahead + timedelta(seconds=1)
    assert refused(resent(created_at=late)) == "bundle.from_future"
    assert refused(resent(not_before=late)) == "bundle.from_future"


def test_expired_signing_leaf() -> None:
    """A delivery under a leaf that has lapsed is refused."""
    sent = resent(expires_at=NOW + timedelta(days=360))
    end = A.identity.signing[0].not_after
    moved = replace(SENT, created_at=end - timedelta(minutes=1), not_before=end - timedelta(minutes=1), expires_at=end + timedelta(days=1))
    assert accept(world.sign_delivery(moved), now=end - timedelta(seconds=1)).delivery == moved
    assert refused(world.sign_delivery(moved), now=end) == "trust.key_expired"
    assert accept(sent).delivery.seq == SENT.seq


def test_revoked_keys() -> None:
    """Revoked in the identity, by a message, or here: all the same."""
    by_message = replace(A.trusted(), revoked_keys=frozenset({A.identity.signing[0].spki_sha256}))
    assert refused(peers=(by_message,)) == "trust.key_revoked"
    gone = RevokedKey(key_sha256=A.identity.signing[0].spki_sha256, revoked_at=NOW, compromised_since=NOW)
    doc = replace(A.identity.doc, revoked=(gone,))
    revoking = verify.verify_identity(sign.sign_envelope(identity.PAYLOAD_TYPE, identity.encode(doc), A.material.identity), now=NOW)
    assert refused(peers=(replace(A.trusted(), identity=revoking),)) == "trust.key_revoked"


def test_suites() -> None:
    """A suite that we do not know, or that the sender's identity does not list, is refused."""
    assert refused(resent(target=replace(SENT.target, suite=2))) == "suite.not_allowed"
    doc = replace(A.identity.doc, suites=(7,))
    other = verify.verify_identity(sign.sign_envelope(identity.PAYLOAD_TYPE, identity.encode(doc), A.material.identity), now=NOW)
    assert refused(peers=(replace(A.trusted(), identity=other),)) == "suite.not_allowed"


def test_a_release_for_later_readers() -> None:
    """What needs reader 1.1 is refused by a reader of 1.0."""
    doc = replace(DOC, min_reader="1.1")
    sent = world.sign_delivery(world.delivery_doc(doc))
    assert refused(sent, world.sign_release(doc)) == "bundle.schema_unsupported"
    assert accept(sent, world.sign_release(doc), us=replace(B.us, reads=("1.0", "1.1"))).release == doc


def test_two_keys_for_a_threshold() -> None:
    """A trust that asks for two signing keys is not satisfied by one, however often it signs."""
    renewed = keys.renew_leaves(A.material, "DevTest", NOW, seeds=world.seeds("second leaf"))
    data = issuing.issue(
        renewed,
        space_id=A.space_id,
        name="DevTest",
        version=2,
        prev_sha256=A.identity.payload_sha256,
        endpoints=(),
        now=NOW,
        older=A.identity.doc,
    )
    strict = replace(A.trusted(), identity=verify.verify_identity_update(A.identity, data, now=NOW), signature_threshold=2)
    assert refused(peers=(strict,)) == "signature.threshold_not_met"
    assert refused(sign.add_signatures(DELIVERY, [A.material.signing]), peers=(strict,)) == "signature.threshold_not_met"
    assert accept(sign.add_signatures(DELIVERY, [renewed.signing]), peers=(strict,)).peer == strict


def test_order_of_the_checks() -> None:
    """With several faults at once, the earlier check speaks: signature, sender, recipient, grant, time."""
    everything: dict[str, Any] = {
        "target": replace(SENT.target, space_id=C.space_id),
        "expires_at": NOW - timedelta(seconds=1),
        "not_before": NOW - timedelta(days=1),
    }
    unusable = A.trusted(Grants(), confirmed=False)
    broken = envelope.decode(resent(C, **everything))
    spoiled = envelope.encode(replace(broken, signatures=(replace(broken.signatures[0], sig=bytes(64)),)))
    assert refused(spoiled) == "signature.invalid"
    assert refused(resent(C, **everything)) == "bundle.source_mismatch"
    assert refused(resent(**everything), peers=(unusable,)) == "trust.unconfirmed"
    assert refused(resent(**everything), peers=(A.trusted(Grants()),)) == "bundle.wrong_recipient"
    everything.pop("target")
    assert refused(resent(**everything), peers=(A.trusted(Grants()),)) == "trust.direction_denied"
    assert refused(resent(**everything)) == "bundle.expired"


def test_stored_documents_are_pinned_by_digest() -> None:
    """What was accepted is read back by its digest; anything else in its place is found."""
    bundle = accept()
    assert verify.reopen_release(RELEASE, release_sha256=bundle.release_sha256).doc == DOC
    assert verify.reopen_delivery(DELIVERY, bundle_sha256=bundle.bundle_sha256) == SENT
    other = world.sign_release(replace(DOC, version="1.0.1"))
    assert code_of(lambda: verify.reopen_release(other, release_sha256=bundle.release_sha256)) == "bundle.digest_mismatch"
    assert code_of(lambda: verify.reopen_delivery(resent(seq=8), bundle_sha256=bundle.bundle_sha256)) == "bundle.digest_mismatch"
    assert code_of(lambda: verify.reopen_delivery(RELEASE, bundle_sha256=bundle.bundle_sha256)) == "envelope.type_unexpected"


def test_our_own_release_is_verified_again() -> None:
    """Digest, owner and signature."""
    digest = accept().release_sha256
    assert verify.verify_release_own(RELEASE, identity=A.identity, release_sha256=digest).doc == DOC
    assert code_of(lambda: verify.verify_release_own(RELEASE, identity=B.identity, release_sha256=digest)) == "bundle.source_mismatch"
    forged = sign.sign_envelope(release.PAYLOAD_TYPE, envelope.decode(RELEASE).payload, B.material.signing)
    assert code_of(lambda: verify.verify_release_own(forged, identity=A.identity, release_sha256=digest)) == "signature.untrusted"


def test_who_sent_a_refused_bundle() -> None:
    """For the receipt of a refusal: the usable peer whose signature it is."""
    assert verify.verify_sender("delivery", DELIVERY, peers=PEERS, now=NOW).space_id == A.space_id
    assert code_of(lambda: verify.verify_sender("delivery", RELEASE, peers=PEERS, now=NOW)) == "envelope.type_unexpected"
