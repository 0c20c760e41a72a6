# SPDX-License-Identifier: Apache-2.0
"""Makes the golden vectors: every file under tests/vectors/<kind>-v1/, from fixed keys, times and randomness.

Write them with ``python -m tests.vectors.generate``; a test makes them again and compares byte for byte.
Each folder has a ``cases.json``: file(s), ``expected`` (null, or the code of the refusal) and ``why``. Names that end in ``_fail`` are the
broken twins. ``world.json`` holds the keys and identities that all of them are judged with; see tests/vectors/README.md.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.vectors import hpke_reference, world
from tests.vectors.world import NOW, STRANGER, A, B, C
from waybill.domain.variables import Scope
from waybill.formats import base64_strict, carrier, delivery, envelope, identity, peer, release, tar
from waybill.formats.carrier import Member
from waybill.formats.identity import RevokedKey
from waybill.trust import identity as issuing
from waybill.trust import keys, seal, sign

HERE = Path(__file__).parent


@dataclass
class Folder:
    """The vectors of one kind."""

    files: dict[str, bytes] = field(default_factory=dict)
    cases: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, data: bytes, *, expected: str | None = None, why: str, beside: str | None = None, **facts: Any) -> None:
        """One case: a file, and the file that belongs beside it."""
        self.files[name] = data
        self.cases.append({"file": name, "beside": beside, "expected": expected, "why": why, **facts})

    def written(self) -> dict[str, bytes]:
        """All files, with ``cases.json``."""
        return {**self.files, "cases.json": json.dumps(self.cases, indent=1, ensure_ascii=False, sort_keys=True).encode() + b"\n"}


def vectors() -> dict[str, bytes]:
    """Path below tests/vectors to content."""
    folders: dict[str, Callable[[], Folder]] = {
        "encoding-v1": encoding,
        "envelope-v1": envelopes,
        "sealing-v1": sealing,
        "identity-v1": identities,
        "release-v1": releases,
        "delivery-v1": deliveries,
        "receipt-v1": receipts,
        "inventory-v1": inventories,
        "need-list-v1": need_lists,
        "recall-v1": recalls,
        "revocation-v1": revocations,
        "peer-v1": peers,
        "carrier-v1": carriers,
    }
    made = {f"{folder}/{name}": data for folder, make in folders.items() for name, data in make().written().items()}
    made["world.json"] = json.dumps(world_facts(), indent=1, sort_keys=True).encode() + b"\n"
    return made


def world_facts() -> dict[str, Any]:
    """The public test keys and the identity envelopes of the Spaces."""
    parties = {}
    for letter, party in (("A", A), ("B", B), ("C", C), ("stranger", STRANGER)):
        parties[letter] = {
            "space_id": party.space_id,
            "name": party.name,
            "identity": base64_strict.encode(party.envelope),
            "fingerprint": party.identity.fingerprint,
            "identity_key": party.material.identity_key.hex(),
            "signing_key": party.material.signing_key.hex(),
            "encryption_key": party.material.encryption_key.hex(),
        }
    return {"now": "2026-01-15T12:00:00Z", "parties": parties, "secret": world.SECRET}


def tampered(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The payload of the envelope ``data``, changed, and signed again by nobody: the old signature stays."""
    env = envelope.decode(data)
    return envelope.encode(replace(env, payload=_changed(env.payload, change)))


def resigned(
    data: bytes, key: keys.SigningKey, change: Callable[[dict[str, Any]], None], *, most: int = envelope.MAX_ENVELOPE_BYTES
) -> bytes:
    """The payload of the envelope ``data``, changed, under a fresh signature of ``key``."""
    env = envelope.decode(data, max_bytes=most)
    return sign.sign_envelope(env.payload_type, _changed(env.payload, change), key)


def _changed(payload: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    value = json.loads(payload)
    change(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def encoding() -> Folder:
    """Strict JSON, plain files."""
    folder = Folder()
    folder.add("sorted.json", '{"Z":{},"a":["ü",null,true],"b":-1}'.encode(), why="sorted keys, no spaces, UTF-8", canonical=True)
    folder.add("spaces.json", b' { "a" : [ ] } ', why="white space is read, though never written", canonical=False)
    folder.add("largest-integer.json", b"9007199254740991", why="2^53-1 is the largest integer", canonical=True)
    folder.add("depth-32.json", b"[" * 32 + b"]" * 32, why="32 levels are allowed", canonical=True)
    bad = {
        "duplicate-key": (b'{"a":1,"a":2}', "a key twice"),
        "duplicate-key-escaped": (b'{"a":1,"\\u0061":2}', "a key twice, once escaped"),
        "float": (b"1.0", "floats are excluded"),
        "exponent": (b"1e0", "an exponent makes a float"),
        "nan": (b"NaN", "not JSON"),
        "large-integer": (b"9007199254740992", "over 2^53-1"),
        "lone-surrogate": (b'"\\ud800"', "half a surrogate pair"),
        "bom": (b"\xef\xbb\xbf{}", "a byte order mark"),
        "not-utf8": (b'"\xff"', "not UTF-8"),
        "depth-33": (b"[" * 33 + b"]" * 33, "33 levels"),
        "trailing": (b"{}{}", "two values"),
        "control": (b'"\x01"', "a raw control character"),
        "empty": (b"", "no value"),
    }
    for name, (data, why) in bad.items():
        folder.add(f"{name}_fail.json", data, expected="payload.not_strict_json", why=why)
    return folder


def envelopes() -> Folder:
    """The envelope itself, judged as a recall from A at B."""
    folder = Folder()
    good = world.signed_recall()
    env = envelope.decode(good)
    folder.add("good.json", good, why="one signature", pae=envelope.pae(env.payload_type, env.payload).hex())
    folder.add(
        "two-signatures.json",
        sign.add_signatures(good, [STRANGER.material.signing]),
        why="a signature of an unknown key beside the good one",
    )
    url = (
        good.replace(b"+", b"-")
        .replace(b"/", b"_")
        .replace(env.payload_type.replace("/", "_").encode().replace(b"+", b"-"), env.payload_type.encode())
    )
    folder.add("url-alphabet.json", url, why="base64 in the URL alphabet")
    unknown = b'{"later":1,' + good[1:]
    folder.add("unknown-member.json", unknown, why="unknown members are ignored")
    attacker = sign.sign_envelope(env.payload_type, env.payload, STRANGER.material.signing)
    claimed = replace(env, signatures=(replace(envelope.decode(attacker).signatures[0], keyid=env.signatures[0].keyid),))
    small = replace(env.signatures[0], sig=b"\x01" + bytes(63))
    bad = {
        "unsigned": (envelope.encode(replace(env, signatures=())), "signature.missing", "an empty list"),
        "hollow": (
            good.replace(good[good.index(b'"signatures"') :], b'"signatures":[{}]}'),
            "signature.missing",
            "an entry without signature",
        ),
        "stranger": (attacker, "signature.untrusted", "signed by an unknown key"),
        "claimed-keyid": (envelope.encode(claimed), "signature.invalid", "an unknown key under a trusted keyid"),
        "smuggled-key": (b'{"cert":"AAAA",' + attacker[1:], "signature.untrusted", "the attacker's key inside the envelope"),
        "duplicate-payload": (b'{"payload":"aGVs",' + good[1:], "envelope.malformed", "payload twice"),
        "trailing-bits": (
            good.replace(base64_strict.encode(env.payload).encode(), b"aGVsbG8gd29ybGR="),
            "envelope.malformed",
            "non-zero trailing bits",
        ),
        "mixed-alphabets": (
            good.replace(base64_strict.encode(env.payload).encode(), b"aGVs-G8gd+9ybGQ="),
            "envelope.malformed",
            "both alphabets",
        ),
        "white-space": (good.replace(b'"payload":"', b'"payload":" '), "envelope.malformed", "white space in base64"),
        "payload-changed": (
            tampered(good, lambda doc: doc.update(reason="Fine.")),
            "signature.invalid",
            "other bytes under the old signature",
        ),
        "type-changed": (envelope.encode(replace(env, payload_type=release.PAYLOAD_TYPE)), "envelope.type_unexpected", "another type"),
        "small-order-r": (envelope.encode(replace(env, signatures=(small,))), "signature.invalid", "R is the identity point"),
        "nine-signatures": (envelope.encode(replace(env, signatures=env.signatures * 9)), "limit.exceeded", "nine signatures"),
    }
    for name, (data, code, why) in bad.items():
        folder.add(f"{name}_fail.json", data, expected=code, why=why)
    return folder


def sealing() -> Folder:
    """Sealed values for B, with the context in the case; the ephemeral key is fixed."""
    folder = Folder()
    context = seal.context_of(world.delivery_doc(world.release_doc()), variable_id=world.VAR_SECRET, name="Password", scope=Scope())
    recipient = keys.encryption_public_key(B.material.encryption_certificate)

    def facts(of: seal.SealContext, plaintext: bytes) -> dict[str, Any]:
        shown = {name: getattr(of, name) for name in of.__dataclass_fields__}
        return {"context": shown, "info": of.info().hex(), "plaintext": plaintext.hex()}

    def sealed(padded: bytes) -> bytes:
        return hpke_reference.seal(padded, recipient=recipient, ephemeral=hashlib.sha256(padded).digest(), info=context.info())

    for size in (0, 1, 64, 65, 300):
        plaintext = bytes(range(256))[:size] if size <= 256 else bytes(size)
        folder.add(f"bytes-{size}.bin", sealed(seal.pad(plaintext)), why=f"{size} bytes", **facts(context, plaintext))
    good = sealed(seal.pad(b"secret"))
    code = "secret.decrypt_failed"
    for name, other in {
        "other-variable": replace(context, variable_id=world.VAR_URL),
        "other-scope": replace(context, scope_sha256=world.digest("x")),
        "other-delivery": replace(context, delivery_id=world.fixed_id("dlv", "x")),
        "other-sender": replace(context, sender_space_id=C.space_id),
        "other-seq": replace(context, seq=4),
    }.items():
        folder.add(f"{name}_fail.bin", good, expected=code, why="moved", **facts(other, b"secret"))
    folder.add("flipped_fail.bin", good[:-1] + bytes([good[-1] ^ 1]), expected=code, why="a flipped bit", **facts(context, b"secret"))
    folder.add(
        "padding_fail.bin", sealed(seal.pad(b"secret")[:-1] + b"\1"), expected=code, why="padding not zero", **facts(context, b"secret")
    )
    return folder


def identities() -> Folder:
    """Identities of A; updates have the version before them beside."""
    folder = Folder()
    folder.add("first.json", A.envelope, why="version 1", fingerprint=A.identity.fingerprint)
    renewed = keys.renew_leaves(A.material, "DevTest", NOW, seeds=world.seeds("renewed leaves"))
    fresh = keys.generate(A.space_id, "DevTest", NOW, seeds=world.seeds("new identity"))

    def next_one(material: keys.SpaceKeyMaterial, *also: keys.SigningKey, **changes: Any) -> bytes:
        given = {"version": 2, "prev_sha256": A.identity.payload_sha256, **changes}
        return issuing.issue(
            material, space_id=A.space_id, name="DevTest", endpoints=(), now=NOW, older=A.identity.doc, also_signed_by=also, **given
        )

    first = "first.json"
    folder.add("second.json", next_one(renewed), why="new leaves", beside=first)
    folder.add("second-identity.json", next_one(fresh, A.material.identity), why="a new identity key, signed by old and new", beside=first)
    folder.add(
        "unauthorised_fail.json", next_one(fresh), expected="trust.rotation_unauthorised", why="not signed by the old key", beside=first
    )
    folder.add("skipped_fail.json", next_one(renewed, version=3), expected="trust.identity_stale", why="version 3 after 1", beside=first)
    folder.add(
        "unlinked_fail.json",
        next_one(renewed, prev_sha256=world.digest("x")),
        expected="trust.identity_invalid",
        why="another history",
        beside=first,
    )
    foreign = replace(A.identity.doc, signing=B.identity.doc.signing)
    mixed = sign.sign_envelope(identity.PAYLOAD_TYPE, identity.encode(foreign), A.material.identity)
    folder.add("foreign-leaf_fail.json", mixed, expected="trust.certificate_profile", why="a leaf of another Space")
    payload = identity.encode(A.identity.doc)
    by_leaf = sign.sign_envelope(identity.PAYLOAD_TYPE, payload, A.material.signing)
    folder.add("signed-by-leaf_fail.json", by_leaf, expected="signature.untrusted", why="signed by the signing leaf")
    twice = sign.add_signatures(
        sign.sign_envelope(
            identity.PAYLOAD_TYPE,
            identity.encode(
                replace(A.identity.doc, identity_keys=(A.material.identity_certificate, fresh.identity_certificate), threshold=2)
            ),
            A.material.identity,
        ),
        [A.material.identity],
    )
    folder.add("one-key-twice_fail.json", twice, expected="signature.threshold_not_met", why="threshold 2, one key signed twice")
    schema = resigned(A.envelope, A.material.identity, lambda doc: doc.update(schema={"major": 2, "minor": 0}))
    folder.add("schema-2_fail.json", schema, expected="bundle.schema_unsupported", why="major version 2")
    return folder


def releases() -> Folder:
    """Releases of A, pinned by their digest."""
    folder = Folder()
    good = world.sign_release(world.release_doc())
    digest = hashlib.sha256(envelope.decode(good).payload).hexdigest()
    folder.add("good.json", good, why="every field", release_sha256=digest)
    key = A.material.signing
    minor = resigned(good, key, lambda doc: doc.update(schema={"major": 1, "minor": 1}, later=1))
    folder.add("minor-1.json", minor, why="version 1.1 with a member that may be ignored", release_sha256=_payload_sha256(minor))

    def secret(doc: dict[str, Any]) -> None:
        doc["variables"][1].pop("sensitive")
        doc["variables"][1]["value"] = "x"

    bad: dict[str, tuple[Callable[[dict[str, Any]], None], str, str]] = {
        "critical": (lambda doc: doc.update(critical=["x"]), "bundle.schema_unsupported", "an unknown critical feature"),
        "major-2": (lambda doc: doc.update(schema={"major": 2, "minor": 0}), "bundle.schema_unsupported", "major version 2"),
        "unknown-member": (lambda doc: doc.update(later=1), "payload.invalid", "version 1.0 has no such member"),
        "missing-member": (lambda doc: doc.pop("notes"), "payload.invalid", "a member is missing"),
        "float": (lambda doc: doc["process"]["actions"][0]["inputs"].update(x=0.5), "payload.not_strict_json", "a float in the inputs"),
        "secret-in-clear": (secret, "bundle.secret_in_clear", "a secret with a value"),
        "open-closure": (lambda doc: doc.update(step_packages=[]), "bundle.incomplete", "the step package of an action is not listed"),
        "coordinate": (lambda doc: doc["packages"][0].update(id="../x"), "package.coordinate_invalid", "a package id that is a path"),
        "digest": (lambda doc: doc["packages"][0].update(sha256="MD5"), "package.digest_unsupported", "not a SHA-256"),
        "two-choices": (lambda doc: doc["variables"][0].update(sensitive=True), "payload.invalid", "value and sensitive"),
        "action-twice": (lambda doc: doc["process"].update(actions=doc["process"]["actions"] * 2), "payload.invalid", "an action id twice"),
    }
    for name, (change, code, why) in bad.items():
        data = resigned(good, key, change)
        folder.add(f"{name}_fail.json", data, expected=code, why=why, release_sha256=_payload_sha256(data))
    other = tampered(good, lambda doc: doc.update(version="1.0.1"))
    folder.add(
        "changed_fail.json", other, expected="bundle.digest_mismatch", why="another payload than the digest names", release_sha256=digest
    )
    return folder


def deliveries() -> Folder:
    """Deliveries at B from A, with the release beside; ``at`` names another Space that judges."""
    folder = Folder()
    sent, frozen = world.bundle()
    folder.files["release.json"] = frozen
    beside = "release.json"
    doc = delivery.decode(envelope.decode(sent).payload)
    folder.add("good.json", sent, why="every field", beside=beside, bundle_sha256=_payload_sha256(sent))
    relayed, _ = world.relayed_bundle()
    relayed_doc = delivery.decode(envelope.decode(relayed).payload)
    folder.add("relayed.json", relayed, why="from A over B to C; B holds the relay grant", beside=beside, at="C", relay=True)
    folder.add("no-relay-grant_fail.json", relayed, expected="trust.relay_denied", why="the same without the grant", beside=beside, at="C")
    cut = world.sign_delivery(replace(relayed_doc, custody=()), B)
    folder.add(
        "chain-cut_fail.json",
        cut,
        expected="bundle.source_mismatch",
        why="a chain without its first link",
        beside=beside,
        at="C",
        relay=True,
    )
    loop = replace(relayed_doc, custody=(*relayed_doc.custody, replace(relayed_doc.custody[0], space_id=C.space_id)))
    folder.add(
        "loop_fail.json",
        world.sign_delivery(loop, B),
        expected="bundle.loop",
        why="C stands in the chain",
        beside=beside,
        at="C",
        relay=True,
    )
    past = {"created_at": NOW - timedelta(days=2), "not_before": NOW - timedelta(days=2), "expires_at": NOW}
    bad: dict[str, tuple[dict[str, Any], str, str]] = {
        "expired": (past, "bundle.expired", "expires now"),
        "future": ({"created_at": NOW + timedelta(seconds=301)}, "bundle.from_future", "301 seconds ahead"),
        "wrong-space": ({"target": replace(doc.target, space_id=C.space_id)}, "bundle.wrong_recipient", "for C"),
        "wrong-key": ({"target": replace(doc.target, enc_key_sha256=world.digest("x"))}, "bundle.wrong_recipient", "sealed to another key"),
        "suite-2": ({"target": replace(doc.target, suite=2)}, "suite.not_allowed", "a suite that is not known"),
        "sender-key": ({"sender": replace(doc.sender, key_sha256=world.digest("x"))}, "bundle.source_mismatch", "names another key"),
        "release-digest": ({"release": replace(doc.release, sha256=world.digest("x"))}, "bundle.digest_mismatch", "names another release"),
    }
    for name, (changes, code, why) in bad.items():
        folder.add(f"{name}_fail.json", world.sign_delivery(replace(doc, **changes)), expected=code, why=why, beside=beside)
    impostor = world.signed(delivery.PAYLOAD_TYPE, delivery.encode(doc), C)
    folder.add("other-sender_fail.json", impostor, expected="bundle.source_mismatch", why="A's delivery signed by C", beside=beside)
    clear = resigned(sent, A.material.signing, lambda value: value["values"][0].update(value="x", ct=None))
    folder.add("two-forms_fail.json", clear, expected="payload.invalid", why="ct and value", beside=beside)
    long = resigned(sent, A.material.signing, lambda value: value.update(expires_at="2027-06-01T00:00:00Z"))
    folder.add("too-long_fail.json", long, expected="payload.invalid", why="lives over 366 days", beside=beside)
    return folder


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


def carriers() -> Folder:
    """Carrier files from A to B: a delivery, its release and two blobs."""
    folder = Folder()
    sent, frozen = world.bundle()
    envelopes_in = (("delivery", sent), ("release", frozen))
    blobs = (b"the package", b"second blob" * 50)
    index = world.signed_index(world.carrier_index_doc(envelopes_in, blobs))

    def member(folder_name: str, data: bytes) -> Member:
        return Member(folder=folder_name, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), pieces=[data])

    members = [*(member(carrier.ENVELOPES, data) for _, data in envelopes_in), *(member(carrier.BLOBS, data) for data in blobs)]
    good = b"".join(carrier.write(index, members))
    folder.add("good.tar", good, why="two envelopes, two blobs")
    at = good.index(blobs[1])
    flipped = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
    refused = hashlib.sha256(blobs[1]).hexdigest()
    folder.add("bad-blob.tar", flipped, why="one flipped bit: only that blob is refused", refused={refused: "package.hash_mismatch"})
    extra = member(carrier.BLOBS, b"extra")
    name = tar.member_name(carrier.BLOBS, extra.sha256)
    end = len(tar.END)

    def with_block(spoil: Callable[[bytearray], None]) -> bytes:
        block = bytearray(tar.write_header(tar.Header(name, 0)))
        spoil(block)
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        return good[:-end] + bytes(block) + tar.END

    def named(text: bytes) -> Callable[[bytearray], None]:
        def spoil(block: bytearray) -> None:
            block[:100] = text.ljust(100, b"\0")

        return spoil

    def typed(flag: bytes) -> Callable[[bytearray], None]:
        def spoil(block: bytearray) -> None:
            block[156:157] = flag

        return spoil

    bad = {
        "truncated": (good[:-end], "carrier.truncated", "the end mark is missing"),
        "truncated-blob": (good[: at + 5], "carrier.truncated", "cut inside a blob"),
        "extra": (b"".join(carrier.write(index, [*members, extra])), "carrier.member_unexpected", "a blob that the index does not name"),
        "order": (
            b"".join(carrier.write(index, [members[1], members[0], *members[2:]])),
            "carrier.member_unexpected",
            "not in the order of the index",
        ),
        "index-last": (good[512 + len(index) + tar.padding(len(index)) :], "carrier.malformed", "the index does not stand first"),
        "gzip-magic": (b"\x1f\x8b" + good[2:], "carrier.malformed", "not an uncompressed tar"),
        "after-end": (good + b"x", "carrier.malformed", "something follows the end"),
        "traversal": (with_block(named(b"../../etc/passwd")), "carrier.member_forbidden", "a name with .."),
        "absolute": (with_block(named(b"/etc/passwd")), "carrier.member_forbidden", "an absolute name"),
        "hard-link": (with_block(typed(b"1")), "carrier.member_forbidden", "a hard link"),
        "symbolic-link": (with_block(typed(b"2")), "carrier.member_forbidden", "a symbolic link"),
        "device": (with_block(typed(b"3")), "carrier.member_forbidden", "a device"),
        "pipe": (with_block(typed(b"6")), "carrier.member_forbidden", "a pipe"),
        "pax": (with_block(typed(b"x")), "carrier.member_forbidden", "a PAX header"),
        "gnu-long-name": (with_block(typed(b"L")), "carrier.member_forbidden", "a GNU long name"),
    }
    for title, (data, code, why) in bad.items():
        folder.add(f"{title}_fail.tar", data, expected=code, why=why)
    return folder


def _payload_sha256(data: bytes) -> str:
    return hashlib.sha256(envelope.decode(data).payload).hexdigest()


def main() -> int:
    """All vectors written over what is there."""
    for path, data in vectors().items():
        target = HERE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
