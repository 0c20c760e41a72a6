# SPDX-License-Identifier: Apache-2.0
"""Identity documents: what holds them together, and how one version follows another."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.vectors import world
from tests.vectors.world import NOW, A, B, Party
from waybill.domain.trusts import Grants, Road, Trust, TrustState
from waybill.errors import TrustError, WaybillError
from waybill.formats import envelope, identity
from waybill.formats.identity import IdentityDoc, RevokedKey
from waybill.trust import identity as issuing
from waybill.trust import keys, seal, sign, verify
from waybill.trust.keys import SpaceKeyMaterial
from waybill.trust.trust_set import VerifiedIdentity

FIRST = A.identity
RENEWED = keys.renew_leaves(A.material, "DevTest", NOW + timedelta(days=30), seeds=world.seeds("renewed leaves"))
NEW_IDENTITY = keys.generate(A.space_id, "DevTest", NOW, seeds=world.seeds("new identity"))


def issue(
    material: SpaceKeyMaterial, current: VerifiedIdentity = FIRST, *also: keys.SigningKey, version: int | None = None, **changes: Any
) -> bytes:
    """The version after ``current``."""
    chosen: dict[str, Any] = {"space_id": A.space_id, "prev_sha256": current.payload_sha256, **changes}
    return issuing.issue(
        material,
        name="DevTest",
        version=version or current.doc.version + 1,
        endpoints=current.doc.endpoints,
        now=NOW,
        older=current.doc,
        also_signed_by=also,
        **chosen,
    )


def code_of(act: Callable[..., object], *arguments: Any, **named: Any) -> str:
    """The code that the call ends with."""
    with pytest.raises(WaybillError) as caught:
        act(*arguments, **named)
    return caught.value.code


def update_code(data: bytes, current: VerifiedIdentity = FIRST) -> str:
    """The code with which an update is refused."""
    return code_of(lambda: verify.verify_identity_update(current, data, now=NOW))


def resigned(doc: IdentityDoc, party: Party = A) -> bytes:
    """``doc`` under the identity key of ``party``."""
    return sign.sign_envelope(identity.PAYLOAD_TYPE, identity.encode(doc), party.material.identity)


def test_a_new_identity_verifies() -> None:
    """Its fingerprint is that of its one identity certificate."""
    assert FIRST.fingerprint == A.material.fingerprint
    assert FIRST.doc.endpoint("api") == A.identity.doc.endpoints[0]
    assert FIRST.doc.endpoint("objects") is None
    assert {one.role for one in (*FIRST.identity_keys, *FIRST.signing, *FIRST.encryption)} == {"identity", "signing", "encryption"}


def test_fresh_keys_differ_and_rejoin() -> None:
    """Two Spaces never share a key; certificates and stored private keys find each other again."""
    first, second = (keys.generate(A.space_id, "x", NOW) for _ in range(2))
    assert (
        len({first.identity_key, first.signing_key, first.encryption_key, second.identity_key, second.signing_key, second.encryption_key})
        == 6
    )
    doc = FIRST.doc
    material = A.material
    joined = keys.rejoin(doc, identity_key=material.identity_key, signing_key=material.signing_key, encryption_key=material.encryption_key)
    assert joined == material
    act = lambda: keys.rejoin(doc, identity_key=material.identity_key, signing_key=material.signing_key, encryption_key=bytes(range(32)))  # noqa: E731
    assert code_of(act) == "trust.identity_invalid"


def test_no_text_form_shows_a_private_key() -> None:
    """Keys may end up in a log line by mistake; nothing of them is in it."""
    shown = f"{A.material!r} {A.material.signing!r} {A.material} {world.seeds('DevTest')!r}"
    for secret in (A.material.identity_key, A.material.signing_key, A.material.encryption_key):
        assert secret.hex() not in shown
        assert repr(secret) not in shown


def test_verified_values_cannot_be_made_by_hand() -> None:
    """A payload converter that rebuilds dataclasses gets nowhere."""
    with pytest.raises(TypeError):
        replace(FIRST, proof=object())


def test_leaves_under_another_identity_are_refused() -> None:
    """Certificates of two Spaces cannot be mixed, nor two identities of one Space."""
    doc = replace(FIRST.doc, signing=(NEW_IDENTITY.signing_certificate,))
    assert code_of(lambda: verify.verify_identity(resigned(doc), now=NOW)) == "trust.certificate_profile"
    doc = replace(FIRST.doc, encryption=B.identity.doc.encryption)
    assert code_of(lambda: verify.verify_identity(resigned(doc), now=NOW)) == "trust.certificate_profile"


def test_the_space_of_the_document_is_that_of_the_certificates() -> None:
    """A document cannot claim another Space's id."""
    doc = replace(FIRST.doc, space_id=B.space_id)
    assert code_of(lambda: verify.verify_identity(resigned(doc), now=NOW)) == "trust.certificate_profile"


def test_one_key_for_two_uses_is_refused() -> None:
    """The identity key may not sign bundles too."""
    seeds = replace(world.seeds("dual"), signing=world.seeds("dual").identity)
    material = keys.generate(A.space_id, "DevTest", NOW, seeds=seeds)
    data = issuing.issue(material, space_id=A.space_id, name="x", version=1, prev_sha256=None, endpoints=(), now=NOW)
    assert code_of(lambda: verify.verify_identity(data, now=NOW)) == "trust.certificate_profile"


def test_only_the_identity_key_signs_an_identity() -> None:
    """A signing leaf, or somebody else's key, cannot speak for the identity."""
    payload = identity.encode(FIRST.doc)
    by_leaf = sign.sign_envelope(identity.PAYLOAD_TYPE, payload, A.material.signing)
    by_other = sign.sign_envelope(identity.PAYLOAD_TYPE, payload, B.material.identity)
    for data in (by_leaf, by_other):
        assert code_of(verify.verify_identity, data, now=NOW) == "signature.untrusted"


def test_a_second_identity_key_changes_the_fingerprint() -> None:
    """Nobody can slip a key of their own beside a certificate whose fingerprint people know."""
    doc = replace(FIRST.doc, identity_keys=(A.material.identity_certificate, NEW_IDENTITY.identity_certificate))
    data = sign.sign_envelope(identity.PAYLOAD_TYPE, identity.encode(doc), NEW_IDENTITY.identity)
    assert verify.verify_identity(data, now=NOW).fingerprint not in (FIRST.fingerprint, NEW_IDENTITY.fingerprint)


def test_the_threshold_counts_distinct_keys() -> None:
    """Two signatures of one key, under one keyid or two, are one; two keys are two."""
    both = replace(FIRST.doc, identity_keys=(A.material.identity_certificate, NEW_IDENTITY.identity_certificate), threshold=2)
    payload = identity.encode(both)
    one = sign.sign_envelope(identity.PAYLOAD_TYPE, payload, A.material.identity)
    twice = sign.add_signatures(one, [A.material.identity])
    env = envelope.decode(twice)
    renamed = replace(env.signatures[0], keyid=NEW_IDENTITY.identity.spki_sha256)
    two_names = envelope.encode(replace(env, signatures=(env.signatures[0], renamed)))
    for data in (one, twice, two_names):
        assert code_of(verify.verify_identity, data, now=NOW) == "signature.threshold_not_met"
    assert verify.verify_identity(sign.add_signatures(one, [NEW_IDENTITY.identity]), now=NOW).doc == both


def test_one_key_in_two_certificates_is_refused() -> None:
    """A threshold cannot be reached by certifying one key twice."""
    again = keys.generate(A.space_id, "DevTest again", NOW, seeds=world.seeds("DevTest"))
    doc = replace(FIRST.doc, identity_keys=(A.material.identity_certificate, again.identity_certificate), threshold=2)
    assert code_of(lambda: verify.verify_identity(resigned(doc), now=NOW)) == "trust.certificate_profile"


def test_leaf_rotation() -> None:
    """The next version has new leaves; the old signing leaf stays listed, so that what it signed still verifies."""
    second = verify.verify_identity_update(FIRST, issue(RENEWED), now=NOW)
    assert second.doc.version == 2
    assert [one.der for one in second.signing] == [RENEWED.signing_certificate, A.material.signing_certificate]
    assert [one.der for one in second.encryption] == [RENEWED.encryption_certificate]
    assert second.fingerprint == FIRST.fingerprint


def test_the_same_version_again_changes_nothing() -> None:
    """Identical bytes give the current identity, however often they come."""
    assert verify.verify_identity_update(FIRST, A.envelope, now=NOW) is FIRST


def test_identity_rotation_needs_old_and_new() -> None:
    """Signed by both keys it is accepted; by one of them it is not."""
    good = issue(NEW_IDENTITY, FIRST, A.material.identity)
    second = verify.verify_identity_update(FIRST, good, now=NOW)
    assert second.fingerprint == NEW_IDENTITY.fingerprint
    assert [one.der for one in second.signing] == [NEW_IDENTITY.signing_certificate]
    assert update_code(issue(NEW_IDENTITY)) == "trust.rotation_unauthorised"
    env = envelope.decode(good)
    old_only = envelope.encode(replace(env, signatures=env.signatures[1:]))
    assert update_code(old_only) == "signature.untrusted"


def test_rotation_by_a_stranger_is_refused() -> None:
    """A well-formed next version under keys that nobody knows is not authorised."""
    impostor = keys.generate(A.space_id, "DevTest", NOW, seeds=world.seeds("impostor"))
    assert update_code(issue(impostor, FIRST, impostor.signing)) == "trust.rotation_unauthorised"


@pytest.mark.parametrize("version", [1, 3, 4, 2**40])
def test_versions_come_one_by_one(version: int) -> None:
    """Neither an older nor a later version than the next is taken."""
    previous = None if version == 1 else FIRST.payload_sha256
    assert update_code(issue(RENEWED, version=version, prev_sha256=previous)) == "trust.identity_stale"


def test_an_old_version_is_stale_after_an_update() -> None:
    """Version 1 after version 2 is a rollback."""
    second = verify.verify_identity_update(FIRST, issue(RENEWED), now=NOW)
    assert update_code(A.envelope, second) == "trust.identity_stale"


def test_the_next_version_is_linked_to_this_one() -> None:
    """A version 2 of another history is refused."""
    assert update_code(issue(RENEWED, prev_sha256=world.digest("another history"))) == "trust.identity_invalid"


def test_an_update_of_another_space_is_refused() -> None:
    """B's identity is no next version of A's."""
    data = issuing.issue(B.material, space_id=B.space_id, name="Prod", version=2, prev_sha256=FIRST.payload_sha256, endpoints=(), now=NOW)
    assert update_code(data) == "trust.identity_invalid"


def test_validity_of_the_identity_certificate() -> None:
    """Before it starts and after ten years the identity does not hold."""
    for moment in (NOW - timedelta(days=1), NOW + timedelta(days=3660)):
        assert code_of(verify.verify_identity, A.envelope, now=moment) == "trust.key_expired"


def test_a_lapsed_leaf_does_not_hide_the_identity() -> None:
    """The identity still verifies after 13 months, so that its update can be checked; the encryption key is then refused."""
    later = NOW + timedelta(days=500)
    old = verify.verify_identity(A.envelope, now=later)
    assert old.encryption_key(NOW) == old.encryption[0]
    assert code_of(lambda: old.encryption_key(later)) == "trust.key_expired"


def test_a_revoked_encryption_key_is_not_sealed_to() -> None:
    """The identity names it as revoked."""
    gone = RevokedKey(key_sha256=FIRST.encryption[0].spki_sha256, revoked_at=NOW, compromised_since=None)
    data = issue(A.material, revoked=(gone,))
    verified = verify.verify_identity_update(FIRST, data, now=NOW)
    assert code_of(lambda: verified.encryption_key(NOW)) == "trust.key_revoked"


def test_an_identity_cannot_revoke_itself() -> None:
    """Revoking one's own identity key leaves nothing to trust."""
    gone = RevokedKey(key_sha256=FIRST.identity_keys[0].spki_sha256, revoked_at=NOW, compromised_since=None)
    assert update_code(issue(A.material, revoked=(gone,))) == "trust.key_revoked"


def test_a_revoked_leaf_leaves_the_list() -> None:
    """After revocation of the old signing leaf only the new one is listed."""
    gone = RevokedKey(key_sha256=FIRST.signing[0].spki_sha256, revoked_at=NOW, compromised_since=NOW)
    second = verify.verify_identity_update(FIRST, issue(RENEWED, revoked=(gone,)), now=NOW)
    assert [one.der for one in second.signing] == [RENEWED.signing_certificate]
    assert second.doc.revoked == (gone,)


@pytest.mark.parametrize(
    "url", ["http://x", "https://user:pw@x", "https://x?q", "https://x#f", "https://", "https://x/ y", "ftp://x", "https://x\\y"]
)
def test_endpoints_are_plain_https_addresses(url: str) -> None:
    """No password, query or other scheme fits into an endpoint."""
    doc = replace(FIRST.doc, endpoints=(identity.Endpoint(role="api", url=url, ca_pem=""),))
    assert code_of(lambda: identity.encode(doc)) == "payload.invalid"


def trust_row(state: TrustState = TrustState.ACTIVE, **changes: Any) -> Trust:
    """A stored trust in A."""
    row = Trust(
        id=world.fixed_id("trs", "row"),
        space_id=B.space_id,
        slug="devtest",
        name="DevTest",
        peer_space_id=A.space_id,
        peer_name="DevTest",
        fingerprint=FIRST.fingerprint,
        identity_version=1,
        identity_envelope=A.envelope,
        state=state,
        road=Road.CALL,
        grants=Grants(relay=True),
        created_at=NOW,
        created_by="acc",
    )
    return replace(row, **changes)


def test_a_stored_trust_is_verified_again() -> None:
    """State and grants come from the row, keys only from the signed envelope; an edited row is found."""
    peer = verify.peer_of(trust_row(), NOW)
    assert (peer.confirmed, peer.retired, peer.grants.relay, peer.space_id) == (True, False, True, A.space_id)
    assert not verify.peer_of(trust_row(TrustState.PENDING), NOW).confirmed
    assert verify.peer_of(trust_row(TrustState.RETIRED), NOW).retired
    assert code_of(lambda: verify.peer_of(trust_row(fingerprint="0" * 64), NOW)) == "trust.fingerprint_mismatch"
    assert code_of(lambda: verify.peer_of(trust_row(peer_space_id=B.space_id), NOW)) == "trust.identity_invalid"
    swapped = A.envelope.replace(b'"payload":"', b'"payload":"A')
    with pytest.raises(WaybillError):
        verify.peer_of(trust_row(identity_envelope=swapped), NOW)


def test_unknown_suites_are_refused() -> None:
    """Only suites that both sides know are used; the first of ours wins."""
    assert seal.choose_suite((2, 1)) == 1
    for theirs in ((2, 3), (99,)):
        assert code_of(seal.choose_suite, theirs) == "suite.not_allowed"
    assert code_of(lambda: seal.choose_suite((1,), minimum=3)) == "suite.not_allowed"


def test_document_of_another_kind_is_no_identity() -> None:
    """The payload type decides before anything is read."""
    assert code_of(lambda: verify.verify_identity(world.signed_recall(), now=NOW)) == "envelope.type_unexpected"


def test_expiry_boundaries_of_the_leaf() -> None:
    """One second before its end a leaf is good, at its end it is not."""
    end: datetime = FIRST.encryption[0].not_after
    assert FIRST.encryption_key(end - timedelta(seconds=1)) == FIRST.encryption[0]
    with pytest.raises(TrustError):
        FIRST.encryption_key(end)
