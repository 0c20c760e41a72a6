# SPDX-License-Identifier: Apache-2.0
"""The key file: what it wraps opens only with its key and in its place, and it must be private."""

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.keys_file import KeyFile, generate, rotate
from waybill.errors import UnavailableError

CONTEXT = "variables|sealed|var_1|spc_1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A key file with one key."""
    file = tmp_path / "keys.json"
    generate(file)
    return file


def _refusal(keys: KeyFile, wrapped: bytes, context: str = CONTEXT) -> str:
    with pytest.raises(UnavailableError) as caught:
        keys.unwrap(wrapped, context=context)
    return caught.value.code


@given(plaintext=st.binary(max_size=200), context=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_what_is_wrapped_opens(tmp_path_factory: pytest.TempPathFactory, plaintext: bytes, context: str) -> None:
    """Any bytes come back in their own context, and no two wrappings are equal."""
    file = tmp_path_factory.mktemp("keys") / "k"
    generate(file)
    keys = KeyFile(file)
    wrapped = keys.wrap(plaintext, context=context)
    assert keys.unwrap(wrapped, context=context) == plaintext
    assert wrapped != keys.wrap(plaintext, context=context)
    assert len(wrapped) == len(plaintext) + 2 + len(keys.key_ids()[-1]) + 12 + 16


def test_another_place_does_not_open(path: Path) -> None:
    """A value copied to another row, column, table or Space stays shut."""
    keys = KeyFile(path)
    wrapped = keys.wrap(b"secret", context=CONTEXT)
    for context in ("variables|sealed|var_2|spc_1", "variables|sealed|var_1|spc_2", "answers|sealed|var_1|spc_1", "", CONTEXT + "\x00"):
        assert _refusal(keys, wrapped, context) == "keystore.unavailable"


def test_no_byte_can_be_changed(path: Path) -> None:
    """Every flipped, missing or added byte is noticed."""
    keys = KeyFile(path)
    wrapped = keys.wrap(b"secret", context=CONTEXT)
    for place in range(len(wrapped)):
        assert _refusal(keys, wrapped[:place] + bytes([wrapped[place] ^ 1]) + wrapped[place + 1 :]) == "keystore.unavailable"
        assert _refusal(keys, wrapped[:place]) == "keystore.unavailable"
    assert _refusal(keys, wrapped + b"\x00") == "keystore.unavailable"


def test_a_rotation_keeps_what_was_wrapped(path: Path) -> None:
    """Old values open, new ones take the new key, and a process that runs on finds the new key by itself."""
    running = KeyFile(path)
    old = running.wrap(b"old", context=CONTEXT)
    new_id = rotate(path)
    fresh = KeyFile(path)
    new = fresh.wrap(b"new", context=CONTEXT)
    assert fresh.key_ids() == (*running.key_ids(), new_id)
    assert fresh.unwrap(old, context=CONTEXT) == b"old"
    assert running.unwrap(new, context=CONTEXT) == b"new"
    assert new_id.encode() in new
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name]


def test_another_key_file_opens_nothing(path: Path, tmp_path: Path) -> None:
    """Without the right file a stored value is lost, and says so."""
    generate(tmp_path / "other.json")
    assert _refusal(KeyFile(tmp_path / "other.json"), KeyFile(path).wrap(b"secret", context=CONTEXT)) == "keystore.unavailable"


def test_a_key_file_is_never_overwritten(path: Path) -> None:
    """Generating again is refused, and so is a rotation while another one is under way."""
    before = path.read_bytes()
    with pytest.raises(UnavailableError):
        generate(path)
    path.with_name(path.name + ".new").write_bytes(b"")
    with pytest.raises(UnavailableError):
        rotate(path)
    assert path.read_bytes() == before


def test_the_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    """Made with 0600, rotated with 0600."""
    before = os.umask(0)
    try:
        generate(tmp_path / "k")
        rotate(tmp_path / "k")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_can_touch_is_refused(path: Path, mode: int) -> None:
    """Any right of the group or of others stops the start."""
    path.chmod(mode)
    with pytest.raises(UnavailableError) as caught:
        KeyFile(path)
    assert (caught.value.code, caught.value.expected) == ("keystore.unavailable", "0600")


def test_links_and_directories_are_refused(path: Path, tmp_path: Path) -> None:
    """Only a plain file under its own name counts, and it must exist."""
    (tmp_path / "link").symlink_to(path)
    for wrong in (tmp_path / "link", tmp_path, tmp_path / "absent"):
        with pytest.raises(UnavailableError):
            KeyFile(wrong)
    with pytest.raises(UnavailableError):
        generate(tmp_path / "absent" / "k")


def test_a_damaged_file_is_refused_without_showing_it(path: Path) -> None:
    """Every damage has the same answer, and no part of a key stands in it."""
    good = json.loads(path.read_text())
    key_id, key = next(iter(good["keys"].items()))
    damaged: list[object] = [
        {**good, "schema": "v2"},
        {**good, "active": "other"},
        {**good, "active": None},
        {**good, "keys": {key_id: key[:-8]}},
        {**good, "keys": {key_id: key + "*"}},
        {**good, "keys": [key]},
        {"active": key_id},
        [],
        "x",
    ]
    for content in [*(json.dumps(each) for each in damaged), "{", json.dumps(good)[:-3], "\x00", " " * 2_000_000]:
        path.write_text(content)
        with pytest.raises(UnavailableError) as caught:
            KeyFile(path)
        assert key[:12] not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"
