# SPDX-License-Identifier: Apache-2.0
"""Names: what may be one, and which two people would mix up."""

import pytest

from waybill.domain.names import check_name, find_lookalike, free_slug, skeleton, slugify
from waybill.errors import FormatError


@pytest.mark.parametrize("name", ["Prod", "Düsseldorf 2", "生産", "a", "x" * 100, "Web (EU)"])
def test_a_plain_name_is_kept(name: str) -> None:
    """Any visible text up to the limit is a name."""
    assert check_name(name, field="name") == name


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "x" * 101, "a\nb", "a\x00b", "zero\u200bwidth", "right\u202eleft", "Prod: Test", "a:b", "\ud800"]
)
def test_what_cannot_be_read_or_holds_the_separator_is_refused(name: str) -> None:
    """Invisible characters, padding and the separator are refused, with the field named."""
    with pytest.raises(FormatError) as caught:
        check_name(name, field="name")
    assert (caught.value.code, caught.value.field) == ("request.invalid", "name")
    assert caught.value.found is not None
    assert caught.value.found.isascii()


@pytest.mark.parametrize("other", ["Prod Spаce", "prod space", "PROD SPACE.", "Prod-Space", "Prod 5pace", "Ｐrod Space", "Рrоd Space"])
def test_names_that_read_alike_have_one_skeleton(other: str) -> None:
    """Cyrillic, case, width, digits and punctuation do not make a name different."""
    assert skeleton(other) == skeleton("Prod Space")
    assert find_lookalike(other, ["Test", "Prod Space"]) == "Prod Space"


def test_different_names_are_different() -> None:
    """Names that people tell apart have different skeletons."""
    assert find_lookalike("Prod EU", ["Prod US", "Prod", "Test"]) is None


def test_a_slug_is_made_and_numbered() -> None:
    """A slug is plain ASCII and never one that is taken."""
    assert slugify("Über Straße 2!") == "uber-strae-2"
    assert slugify("生産") == "x"
    assert free_slug("Web App", {"web-app", "web-app-2"}) == "web-app-3"
