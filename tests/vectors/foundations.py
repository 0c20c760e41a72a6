# SPDX-License-Identifier: Apache-2.0
"""Vectors of encoding, envelope, sealing and identity."""

import hashlib
from dataclasses import replace
from typing import Any

from tests.vectors import hpke_reference, world
from tests.vectors.folder import Folder, resigned, tampered
from tests.vectors.world import NOW, STRANGER, A, B, C
from waybill.domain.variables import Scope
from waybill.formats import base64_strict, envelope, identity, release
from waybill.trust import identity as issuing
from waybill.trust import keys, seal, sign


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
