# SPDX-License-Identifier: Apache-2.0
"""Package ids and versions, release versions, and the order of versions."""

import pytest

from waybill.domain.coordinates import (
    check_package_id,
    check_package_version,
    check_release_version,
    check_sha256,
    matches_spec,
    version_key,
)
from waybill.errors import FormatError


@pytest.mark.parametrize(
    "text", ["requests", "@scope/name", "org.example:artifact", "golang.org/x/crypto", "libstdc++", "A_b-c.d", "x" * 214]
)
def test_ids_of_every_ecosystem_are_accepted(text: str) -> None:
    """An id is taken as its ecosystem writes it."""
    assert check_package_id(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "../x", "@a/../b", "a\x00b", "x" * 215, "/etc", "a//b", "a/", ".", "..", "a\\b", "a b", "a@b", "@@a/b", "a\n", "é", "a/./b"],
)
def test_ids_that_look_like_paths_or_worse_are_refused(text: str) -> None:
    """Traversal, control characters and over-long ids are refused (security.md row 63)."""
    with pytest.raises(FormatError) as caught:
        check_package_id(text)
    assert caught.value.code == "package.coordinate_invalid"


@pytest.mark.parametrize("text", ["1.0.0", "1!2.0", "1.2.3-rc.1+build.5", "v1.2", "20260302", "1.0~beta", "1:2.3-4"])
def test_versions_of_every_ecosystem_are_accepted(text: str) -> None:
    """Epochs, build parts and pre-releases are versions."""
    assert check_package_version(text) == text


@pytest.mark.parametrize("text", ["", "1..2", "../1", "1/2", "1 2", "1\n", "-1", "x" * 215])
def test_versions_that_are_none_are_refused(text: str) -> None:
    """A version is never a path."""
    with pytest.raises(FormatError) as caught:
        check_package_version(text)
    assert caught.value.code == "package.coordinate_invalid"


@pytest.mark.parametrize("text", ["", "1 0", "1..0", "1/0", "1.0\n", "x" * 101, "1:0"])
def test_release_versions_outside_the_grammar_are_refused(text: str) -> None:
    """A48: a version outside the grammar is refused."""
    with pytest.raises(FormatError) as caught:
        check_release_version(text)
    assert caught.value.code == "request.invalid"


@pytest.mark.parametrize("text", ["", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n", "sha256:" + "0" * 64])
def test_only_lower_case_sha256_is_a_digest(text: str) -> None:
    """Another form of digest is refused (security.md row 61)."""
    with pytest.raises(FormatError) as caught:
        check_sha256(text)
    assert caught.value.code == "package.digest_unsupported"


def test_versions_are_ordered_as_people_expect() -> None:
    """Numbers by value, a pre-release before its release."""
    wanted = ["0.9", "1.0.0-alpha", "1.0.0-alpha.2", "1.0.0-alpha.10", "1.0.0-beta", "1.0.0", "1.0.1", "1.2", "1.10", "2.0"]
    assert sorted([*wanted[5:], *wanted[:5]], key=version_key) == wanted
    assert version_key("1.0") == version_key("1.0.0")


@pytest.mark.parametrize(
    ("version", "spec", "fits"),
    [("1.2.3", "1.2.3", True), ("1.2.3", "1", True), ("10.0.0", "1", False), ("1.2.3-rc.1", "1", False), ("1.2.3", "1.2", False)],
)
def test_a_spec_is_exact_or_a_major(version: str, spec: str, fits: bool) -> None:
    """A major takes stable versions of it only."""
    assert matches_spec(version, spec) is fits
