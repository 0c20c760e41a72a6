# SPDX-License-Identifier: Apache-2.0
"""Vectors of the small messages and of peer requests."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.vectors import world
from tests.vectors.folder import Folder, resigned, tampered
from tests.vectors.world import NOW, STRANGER, A, B, C
from waybill.formats import envelope, peer
from waybill.formats.identity import RevokedKey
from waybill.trust import identity as issuing
from waybill.trust import keys, sign


def receipts() -> Folder:
    """Receipts of B at A."""
    folder = Folder()
    doc = world.receipt_doc()
    good = world.sign_receipt(doc)
    folder.add("good.json", good, why="every field")
    bare = replace(doc, deployment_id=None, environment=None, tenant_ref=None, started_at=None, finished_at=None, target_release_id=None)
    folder.add(
        "refused.json",
        world.sign_receipt(replace(bare, event="refused", code="bundle.expired", lifecycle=None)),
        why="a refusal with its code",
    )
    folder.add("unknown-event.json", world.sign_receipt(replace(doc, event="paused")), why="a later event is readable")
    key = B.material.signing
    bad: dict[str, tuple[Callable[[dict[str, Any]], None], str, str]] = {
        "predicate": (lambda value: value.update(predicateType="urn:x"), "payload.invalid", "another predicate"),
        "no-subject": (lambda value: value.update(subject=[]), "payload.invalid", "no release"),
        "gap": (lambda value: value["predicate"]["gaps"][0].update(first=3), "payload.invalid", "a gap that ends before it starts"),
        "source": (lambda value: value["predicate"]["source"].update(space_id=C.space_id), "bundle.wrong_recipient", "meant for C"),
        "target": (lambda value: value["predicate"]["target"].update(space_id=C.space_id), "bundle.source_mismatch", "claims to be of C"),
        "major-2": (
            lambda value: value["predicate"].update(schema={"major": 2, "minor": 0}),
            "bundle.schema_unsupported",
            "major version 2",
        ),
    }
    for name, (change, code, why) in bad.items():
        folder.add(f"{name}_fail.json", resigned(good, key, change), expected=code, why=why)
    folder.add("stranger_fail.json", world.sign_receipt(doc, STRANGER), expected="signature.untrusted", why="signed by a stranger")
    folder.add(
        "forged_fail.json",
        tampered(good, lambda value: value["predicate"].update(event="failed")),
        expected="signature.invalid",
        why="changed",
    )
    return folder


def inventories() -> Folder:
    """Inventories of B at A."""
    return _message_folder(
        world.signed_inventory(),
        B.material.signing,
        {"twice": (lambda value: value.update(packages=value["packages"] * 2), "payload.invalid", "a package twice")},
    )


def need_lists() -> Folder:
    """Need lists of B at A."""
    return _message_folder(
        world.signed_need_list(),
        B.material.signing,
        {"ranges": (lambda value: value["needs"][0]["ranges"].reverse(), "payload.invalid", "ranges out of order")},
    )


def recalls() -> Folder:
    """Recalls of A at B."""
    return _message_folder(
        world.signed_recall(),
        A.material.signing,
        {"digest": (lambda value: value.update(release_sha256="x"), "package.digest_unsupported", "not a SHA-256")},
    )


def revocations() -> Folder:
    """Revocations of A."""
    folder = Folder()
    gone = RevokedKey(
        key_sha256=A.identity.signing[0].spki_sha256, revoked_at=NOW, compromised_since=NOW - timedelta(days=1), reason="laptop lost"
    )
    good = issuing.revoke(A.material, gone, now=NOW)
    folder.add("good.json", good, why="the signing key, under the identity key")
    env = envelope.decode(good)
    by_leaf = sign.sign_envelope(env.payload_type, env.payload, A.material.signing)
    folder.add("signed-by-leaf_fail.json", by_leaf, expected="signature.untrusted", why="a leaf cannot revoke")
    by_other = sign.sign_envelope(env.payload_type, env.payload, C.material.identity)
    folder.add("other-space_fail.json", by_other, expected="bundle.source_mismatch", why="C cannot revoke a key of A")
    folder.add(
        "future_fail.json",
        issuing.revoke(A.material, gone, now=NOW + timedelta(hours=1)),
        expected="bundle.from_future",
        why="an hour ahead",
    )
    return folder


def peers() -> Folder:
    """Requests of B at A, and A's answer at B."""
    request = world.signed(peer.REQUEST_PAYLOAD_TYPE, peer.encode_request(world.peer_request_doc()), B)
    folder = _message_folder(
        request,
        B.material.signing,
        {
            "stale": (lambda value: value.update(created_at="2026-01-15T11:54:59Z"), "peer.request_stale", "301 seconds old"),
            "action": (lambda value: value.update(action="shutdown"), "payload.invalid", "no such action"),
        },
    )
    answer = world.signed(peer.ANSWER_PAYLOAD_TYPE, peer.encode_answer(world.peer_answer_doc(envelope.decode(request).payload)), A)
    folder.add("answer.json", answer, why="the answer to good.json", beside="good.json")
    other = resigned(answer, A.material.signing, lambda value: value.update(nonce="nonce-2"))
    folder.add("answer-nonce_fail.json", other, expected="peer.request_stale", why="the answer to another request", beside="good.json")
    return folder


def _message_folder(good: bytes, key: keys.SigningKey, extra: dict[str, tuple[Callable[[dict[str, Any]], None], str, str]]) -> Folder:
    """A good message and its broken twins."""
    folder = Folder()
    folder.add("good.json", good, why="every field")
    common: dict[str, tuple[Callable[[dict[str, Any]], None], str, str]] = {
        "recipient": (lambda value: value.update(target_space_id=C.space_id), "bundle.wrong_recipient", "meant for C"),
        "sender": (lambda value: value.update(sender_space_id=C.space_id), "bundle.source_mismatch", "claims to be of C"),
        "critical": (lambda value: value.update(critical=["x"]), "bundle.schema_unsupported", "an unknown critical feature"),
        "unknown-member": (lambda value: value.update(later=1), "payload.invalid", "version 1.0 has no such member"),
    }
    for name, (change, code, why) in {**common, **extra}.items():
        folder.add(f"{name}_fail.json", resigned(good, key, change, most=peer.MAX_ENVELOPE_BYTES), expected=code, why=why)
    return folder
