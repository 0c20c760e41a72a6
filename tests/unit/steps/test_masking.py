# SPDX-License-Identifier: Apache-2.0
"""Secrets do not come out, in whatever pieces the text comes in."""

import base64
import json
import shlex
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.steps.masking import MASK, LineMasker, Masker

SECRETS = ["hunter2!", "p/a+s=s'w\"o&r<d>", "zwölf Boxkämpfer 🙂", "back\\slash\ttab", "x" * 300, "AKIA0123456789ABCDEF"]


def _forms(secret: str) -> list[str]:
    data = secret.encode()
    return [
        secret, json.dumps(secret), json.dumps(secret, ensure_ascii=False), quote(secret), quote(secret, safe=""), quote_plus(secret),
        shlex.quote(secret), escape(secret), quoteattr(secret), data.hex(), data.hex().upper(), data.hex(":"), data.hex(" "),
    ]  # fmt: skip


def _lines(masker: Masker, chunks: list[str], *, limit: int = 32768) -> list[str]:
    lines = LineMasker(masker, max_characters=limit)
    return [line for chunk in chunks for line in lines.feed(chunk)] + list(lines.end())


@pytest.mark.parametrize("secret", SECRETS)
def test_every_spelling_is_masked(secret: str) -> None:
    """JSON, URI, shell, XML and hexadecimal spellings leave nothing but the mask."""
    for form in _forms(secret):
        masked = Masker([secret]).mask(f"before {form} after")
        assert MASK in masked
        assert secret not in masked
        assert len(masked) <= len("before  after") + len(MASK) + 2, f"of {form} there is left: {masked}"


@given(st.sampled_from(SECRETS), st.binary(max_size=7), st.binary(max_size=7))
def test_base64_is_masked_at_every_offset(secret: str, before: bytes, after: bytes) -> None:
    """Within other bytes, at all three offsets and in both alphabets, at most the edge characters of the secret stay."""
    data = before + secret.encode() + after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        masked = Masker([secret]).mask(encode(data).decode())
        assert MASK in masked
        assert len(masked) - len(MASK) <= (len(before) + len(after)) * 4 / 3 + 8


@pytest.mark.parametrize("columns", [60, 64, 76])
def test_wrapped_base64_and_hexadecimal_are_masked(columns: int) -> None:
    """A secret that the wrapping of ``base64`` or ``xxd -p`` cuts in two is masked in both lines."""
    secret = "a-rather-long-secret-value-0123456789"
    for text in (base64.b64encode(b"x" * 40 + secret.encode() + b"y" * 40).decode(), (b"x" * 25 + secret.encode() + b"y" * 9).hex()):
        wrapped = "\n".join(text[at : at + columns] for at in range(0, len(text), columns))
        joined = "".join(_lines(Masker([secret]), [wrapped + "\n"]))
        assert joined.count(MASK) >= 2
        assert len(joined.replace(MASK, "")) <= len(text) - len(secret) * 4 // 3 + 4


def test_each_line_of_a_secret_is_masked_but_short_values_are_not() -> None:
    """Lines of 4 characters or more are secrets of their own; shorter values and lines stay readable."""
    masker = Masker(["-----BEGIN-----\nabcdefgh\nxyz\n", "ok", "e", ""])
    assert masker.mask("abcdefgh xyz ok e") == f"{MASK} xyz ok e"
    assert _lines(masker, ["-----BEGIN-----\r\nabcdefgh\r\nxyz\r\n"]) == [MASK, MASK, "xyz"]


def test_overlapping_secrets_hide_together() -> None:
    """No tail of a secret stays because another one began before it; the longest wins."""
    assert Masker(["abcdef", "defghi", "abcd"]).mask("-abcdefghi-abcd-") == f"-{MASK}-{MASK}-"


@given(st.data())
def test_chunk_borders_do_not_matter(data: st.DataObject) -> None:
    """Cut anywhere, the lines are those of the text in one piece, and hold no secret."""
    secret = "top-secret-value"
    pieces = data.draw(
        st.lists(st.sampled_from(["word ", secret, "\n", "ä", base64.b64encode(secret.encode()).decode(), "-"]), max_size=30)
    )
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    chunks = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole = _lines(Masker([secret]), [text])
    assert _lines(Masker([secret]), chunks) == whole
    assert secret not in "".join(whole)


@pytest.mark.parametrize("at", range(80, 104))
def test_the_cut_of_a_long_line_shows_no_part_of_a_secret(at: int) -> None:
    """A secret at the limit is masked before the line is cut; what is missing is counted."""
    secret = "0123456789abcdef"
    text = "." * at + secret + "." * 200
    (line,) = _lines(Masker([secret]), [*text, "\n"], limit=100)
    for length in range(4, len(secret)):
        assert secret[:length] not in line
    assert "[truncated" in line


def test_held_lines_come_out_in_order_and_are_bounded() -> None:
    """Endless base64 neither waits for ever nor loses, doubles or reorders a line."""
    secret = "the-secret-of-the-stream"
    lines = [base64.b64encode(f"{number:057d}".encode()).decode() for number in range(3000)]
    masker = LineMasker(Masker([secret]))
    out: list[str] = []
    most = 0
    for line in lines:
        out += masker.feed(line + "\n")
        most = max(most, len(masker._held))
    assert out + list(masker.end()) == lines
    assert most < 1000


def test_masks_added_later_hold_from_then_on() -> None:
    """``add`` changes what comes after it, and adding twice changes nothing."""
    masker = Masker()
    assert masker.mask("late-secret") == "late-secret"
    masker.add("late-secret", "late-secret")
    assert masker.mask("late-secret") == MASK
    assert masker.holds_secret("xlate-secretx")
