# SPDX-License-Identifier: Apache-2.0
"""Vectors of releases, deliveries and carriers."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.vectors import world
from tests.vectors.folder import Folder, payload_sha256, resigned, tampered
from tests.vectors.world import NOW, A, B, C
from waybill.formats import carrier, delivery, envelope, tar
from waybill.formats.carrier import Member


def releases() -> Folder:
    """Releases of A, pinned by their digest."""
    folder = Folder()
    good = world.sign_release(world.release_doc())
    digest = hashlib.sha256(envelope.decode(good).payload).hexdigest()
    folder.add("good.json", good, why="every field", release_sha256=digest)
    key = A.material.signing
    minor = resigned(good, key, lambda doc: doc.update(schema={"major": 1, "minor": 1}, later=1))
    folder.add("minor-1.json", minor, why="version 1.1 with a member that may be ignored", release_sha256=payload_sha256(minor))

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
        folder.add(f"{name}_fail.json", data, expected=code, why=why, release_sha256=payload_sha256(data))
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
    folder.add("good.json", sent, why="every field", beside=beside, bundle_sha256=payload_sha256(sent))
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
