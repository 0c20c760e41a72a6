# SPDX-License-Identifier: Apache-2.0
"""``waybill bundle inspect`` and ``verify`` on a carrier file, without any server: what is shown, what is refused, and what nobody sees."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.bundle_file import verify_file
from tests.unit.cli.runner import CommandLine, Ended
from tests.vectors import world
from tests.vectors.world import Party
from waybill.domain.variables import Scope, ValueType
from waybill.errors import WaybillError
from waybill.formats import carrier, carrier_index, release, tar
from waybill.formats.carrier import Member
from waybill.formats.delivery import DeliveryDoc, DeliveryValue
from waybill.formats.release import ReleaseDoc, ReleaseOwner
from waybill.trust import identity as issuing
from waybill.trust import keys, seal, sign, verify
from waybill.trust.verify import VerifiedIdentity

NOW = datetime.now(UTC).replace(microsecond=0)
SECRET = "a-planted-secret-7f3a"
PACKAGES = (b"the bytes of a package", b"x" * 3000)


@dataclass(frozen=True)
class Today(Party):
    """A Space whose keys are valid today."""

    @property
    def identity(self) -> VerifiedIdentity:
        """Its identity, verified today."""
        return verify.verify_identity(self.envelope, now=NOW)


def make(name: str) -> Today:
    """A Space with new keys."""
    space_id = world.fixed_id("spc", name)
    material = keys.generate(space_id, name, NOW)
    envelope = issuing.issue(material, space_id=space_id, name=name, version=1, prev_sha256=None, endpoints=[], now=NOW)
    return Today(space_id, name, material, envelope)


SENDER, TARGET, STRANGER = make("DevTest"), make("Vault"), make("Stranger")


def release_doc() -> ReleaseDoc:
    """A release of the sender, frozen an hour ago."""
    owner = ReleaseOwner(space_id=SENDER.space_id, identity_sha256=SENDER.identity.payload_sha256)
    return replace(world.release_doc(SENDER), frozen_at=NOW - timedelta(hours=1), owner=owner)


def delivery_doc(doc: ReleaseDoc) -> DeliveryDoc:
    """Its delivery to the target, with one sealed secret."""
    sent = replace(
        world.delivery_doc(doc, sender=SENDER, target=TARGET),
        created_at=NOW - timedelta(minutes=1),
        not_before=NOW - timedelta(minutes=1),
        expires_at=NOW + timedelta(days=30),
        history=(),
    )
    context = seal.context_of(sent, variable_id=world.VAR_SECRET, name="Password", scope=Scope())
    sealed = seal.seal_value(
        SECRET.encode(), recipient_public=keys.encryption_public_key(TARGET.material.encryption_certificate), context=context
    )
    return replace(sent, values=(DeliveryValue(variable_id=world.VAR_SECRET, name="Password", type=ValueType.SECRET, sealed=sealed),))


def carrier_bytes() -> bytes:
    """A whole carrier file: the index, a release with its delivery, the sender's identity, two packages."""
    doc = release_doc()
    envelopes = (
        ("release", sign.sign_envelope(release.PAYLOAD_TYPE, release.encode(doc), SENDER.material.signing)),
        ("delivery", world.sign_delivery(delivery_doc(doc), SENDER)),
        ("identity", SENDER.envelope),
    )
    index = replace(
        world.carrier_index_doc(envelopes, PACKAGES), sender_space_id=SENDER.space_id, target_space_id=TARGET.space_id, created_at=NOW
    )
    signed = world.signed(carrier_index.PAYLOAD_TYPE, carrier_index.encode(index), SENDER)
    members = [_member(carrier.ENVELOPES, content) for _, content in envelopes] + [_member(carrier.BLOBS, content) for content in PACKAGES]
    return b"".join(carrier.write(signed, members))


def _member(folder: str, content: bytes) -> Member:
    return Member(folder=folder, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content), pieces=[content])


GOOD = carrier_bytes()


@pytest.fixture
def carried(tmp_path: Path) -> Path:
    """The good file."""
    path = tmp_path / "to-vault.wbc"
    path.write_bytes(GOOD)
    return path


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    """The sender's identity file."""
    path = tmp_path / "devtest.identity.json"
    path.write_bytes(SENDER.envelope)
    return path


def verify_bytes(waybill: CommandLine, content: bytes, identity: Path) -> Ended:
    """``bundle verify`` of these bytes."""
    path = identity.parent / "changed.wbc"
    path.write_bytes(content)
    return waybill("-o", "json", "bundle", "verify", str(path), "--identity", str(identity))


def test_a_good_file_verifies(stranger: CommandLine, carried: Path, identity: Path) -> None:
    """Every signature and byte is right; whoever asks has never signed in anywhere."""
    ended = stranger("-o", "json", "bundle", "verify", str(carried), "--identity", str(identity))
    assert ended.code == 0, ended.err
    assert ended.json == {
        "verified": True,
        "sender_space_id": SENDER.space_id,
        "signer_fingerprint": SENDER.identity.fingerprint,
        "envelopes": {"delivery": 1, "identity": 1, "release": 1},
        "blobs": 2,
        "bytes": sum(len(package) for package in PACKAGES),
    }


def test_inspect_shows_what_people_want_to_know(stranger: CommandLine, carried: Path) -> None:
    """Signer, release, packages, values asked for, expiry; and that nothing of it is proven."""
    ended = stranger("-o", "json", "bundle", "inspect", str(carried))
    assert ended.code == 0, ended.err
    shown = ended.json
    assert (shown["verified"], shown["sender_space_id"], shown["target_space_id"]) == (False, SENDER.space_id, TARGET.space_id)
    assert shown["releases"][0]["project"] == "Storefront"
    assert shown["releases"][0]["packages"] == ["@acme/storefront 1.0.0 (11 bytes)"]
    assert shown["releases"][0]["values_asked_for"] == ["Reason", "Database"]
    assert shown["deliveries"][0]["sealed_values"] == ["Password"]
    assert shown["deliveries"][0]["environments"] == ["Production"]
    assert [blob["size_bytes"] for blob in shown["blobs"]] == [len(package) for package in PACKAGES]
    table = stranger("bundle", "inspect", str(carried))
    assert "Storefront" in table.out
    assert "nothing of this was verified" in table.err


def test_no_secret_is_shown_nor_in_the_file(stranger: CommandLine, carried: Path, identity: Path) -> None:
    """Neither command can show what is sealed, since it is not there to be read."""
    said = [
        stranger("bundle", "inspect", str(carried)),
        stranger("-o", "json", "bundle", "inspect", str(carried)),
        stranger("bundle", "verify", str(carried), "--identity", str(identity)),
    ]
    assert SECRET.encode() not in GOOD
    assert all(SECRET not in ended.out + ended.err for ended in said)


def test_one_flipped_bit_anywhere_is_refused(tmp_path: Path, identity: Path) -> None:
    """A bit in any header, the index, any member, any padding or the end: always an error of ours with a code."""
    path = tmp_path / "changed.wbc"
    for place in sorted({*range(0, len(GOOD), 41), *range(tar.BLOCK), len(GOOD) - 1}):
        changed = bytearray(GOOD)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            verify_file(path, identity, now=NOW)
        except WaybillError:
            continue
        pytest.fail(f"byte {place} of {len(GOOD)} was changed and nobody noticed", pytrace=False)


@pytest.mark.parametrize("place", [*range(3, len(GOOD), len(GOOD) // 11), 600, 793, len(GOOD) - 1])
def test_a_flipped_bit_ends_with_exit_6(stranger: CommandLine, identity: Path, place: int) -> None:
    """The command says what failed, prints no data, and never shows a stack."""
    changed = bytearray(GOOD)
    changed[place] ^= 1
    ended = verify_bytes(stranger, bytes(changed), identity)
    assert (ended.code, ended.out) == (6, ""), ended.err
    assert ended.err.startswith("error: ")
    assert "Traceback" not in ended.err
    inspected = stranger("bundle", "inspect", str(identity.parent / "changed.wbc"))
    assert inspected.code in {0, 6}


@pytest.mark.parametrize(
    ("part", "code"),
    [("package", "package.hash_mismatch"), ("envelope", "package.hash_mismatch"), ("index", "signature.invalid")],
)
def test_the_part_that_fails_is_named(stranger: CommandLine, identity: Path, part: str, code: str) -> None:
    """A package and an envelope are named by their digest; the index by its signature."""
    needle = {"package": PACKAGES[1], "envelope": SENDER.envelope, "index": b'"sig":"'}[part]
    changed = bytearray(GOOD)
    at = GOOD.index(needle) + (7 if part == "index" else len(needle) // 2)
    changed[at] = ord("B") if changed[at] == ord("A") else ord("A")  # base64 stays base64
    ended = verify_bytes(stranger, bytes(changed), identity)
    assert (ended.code, f"[{code}]" in ended.err) == (6, True), ended.err
    if part != "index":
        assert hashlib.sha256(needle).hexdigest() in ended.err


@pytest.mark.parametrize("length", [0, 100, 512, len(GOOD) // 2, len(GOOD) - 512])
def test_a_file_that_ends_early_is_refused(stranger: CommandLine, identity: Path, length: int) -> None:
    """However much of it came along."""
    assert verify_bytes(stranger, GOOD[:length], identity).code == 6


def test_something_behind_the_end_is_refused(stranger: CommandLine, identity: Path) -> None:
    """A file is what its index says and nothing more."""
    assert verify_bytes(stranger, GOOD + b"more", identity).code == 6


def test_the_identity_of_somebody_else_verifies_nothing(stranger: CommandLine, carried: Path, tmp_path: Path) -> None:
    """A key inside the file is never believed."""
    other = tmp_path / "stranger.identity.json"
    other.write_bytes(STRANGER.envelope)
    ended = stranger("bundle", "verify", str(carried), "--identity", str(other))
    assert ended.code == 6
    assert "what to do:" in ended.err


@pytest.mark.parametrize("command", [("inspect",), ("verify", "--identity")])
def test_a_file_that_is_not_there(stranger: CommandLine, identity: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    """The name is said; usage, not verification."""
    more = [] if len(command) == 1 else [command[1], str(identity)]
    ended = stranger("bundle", command[0], str(tmp_path / "absent.wbc"), *more)
    assert ended.code == 2
    assert "absent.wbc" in ended.err


def test_an_identity_file_that_is_not_there(stranger: CommandLine, carried: Path, tmp_path: Path) -> None:
    """The same for the identity."""
    ended = stranger("bundle", "verify", str(carried), "--identity", str(tmp_path / "absent.json"))
    assert (ended.code, "absent.json" in ended.err) == (2, True)


def test_a_text_that_would_redraw_the_terminal_is_shown_as_text(stranger: CommandLine, tmp_path: Path) -> None:
    """A release named with control characters by a stranger does not reach the terminal as it is, in no format."""
    doc = replace(release_doc(), notes="\u001b[2J\u202egone")
    content = sign.sign_envelope(release.PAYLOAD_TYPE, release.encode(doc), SENDER.material.signing)
    index = replace(world.carrier_index_doc((("release", content),), ()), sender_space_id=SENDER.space_id, target_space_id=TARGET.space_id)
    signed = world.signed(carrier_index.PAYLOAD_TYPE, carrier_index.encode(index), SENDER)
    path = tmp_path / "hostile.wbc"
    path.write_bytes(b"".join(carrier.write(signed, [_member(carrier.ENVELOPES, content)])))
    for chosen in ("table", "json", "name"):
        ended = stranger("-o", chosen, "bundle", "inspect", str(path))
        assert ended.code == 0, ended.err
        assert not {"\u001b", "\u202e"} & set(ended.out + ended.err)
    assert json.loads(stranger("-o", "json", "bundle", "inspect", str(path)).out)["releases"][0]["notes"] == doc.notes
