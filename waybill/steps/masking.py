# SPDX-License-Identifier: Apache-2.0
"""Secrets taken out of text before it leaves a machine, in the forms in which tools print them.

Masked are: the value; each of its lines; JSON, URI, shell and XML spellings; hexadecimal; base64 at its three offsets, in both alphabets,
and base64 or hexadecimal that was wrapped over several lines.
Values under ``MIN_LENGTH`` characters are never masked: they would hide ordinary text and protect nothing.
Not masked: a value that a program cut up, encrypted, compressed or spelled in any other way. Nobody can promise that.
"""

import base64
import html
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "********"
MIN_LENGTH: Final = 4
MAX_LINE_CHARACTERS: Final = 32 * 1024
MAX_PIECE_CHARACTERS: Final = 16 * 1024
"""A longer value is masked piece by piece, so that the text held back for it stays bounded."""

_WRAPPED: Final = re.compile(r"[A-Za-z0-9+/=_-]+")
_WRAP_COLUMNS: Final = 40
"""A line that is nothing but this many base64 or hexadecimal characters may go on in the next one."""
_MAX_HELD_CHARACTERS: Final = 64 * 1024


def forms_of(value: str) -> set[str]:
    """Every spelling of ``value`` that is masked; empty when it is too short to be masked at all."""
    found: set[str] = set()
    for whole in (value, value.strip(), *value.splitlines()):
        for start in range(0, len(whole), MAX_PIECE_CHARACTERS):
            piece = whole[start : start + MAX_PIECE_CHARACTERS]
            if len(piece) >= MIN_LENGTH:
                found |= _spellings(piece)
                found |= _binary_spellings(piece.encode("utf-8", "surrogatepass"))
    return {each for each in found if len(each) >= MIN_LENGTH and not each.isspace()}


def _spellings(text: str) -> set[str]:
    json_spellings = {json.dumps(text, ensure_ascii=flag)[1:-1] for flag in (True, False)}
    uri_spellings = {quote(text, safe=safe, errors="replace") for safe in ("", "/", "!~*'()", "!~*'();/?:@&=+$,#")}
    uri_spellings.add(quote_plus(text, errors="replace"))
    xml = html.escape(text, quote=False)
    xml_spellings = {
        xml,
        html.escape(text),
        xml.replace('"', "&quot;"),
        xml.replace('"', "&quot;").replace("'", "&apos;"),
        xml.replace('"', "&#34;").replace("'", "&#39;"),
    }
    xml_spellings |= {each.replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;") for each in xml_spellings}
    return {
        text,
        shlex.quote(text),
        shlex.quote(text)[1:-1] if shlex.quote(text) != text else text,
        text.replace("'", "'\\''"),
        text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`"),
        re.sub(r"([^A-Za-z0-9@%_+=:,./-])", r"\\\1", text),  # bash printf %q
        *json_spellings,
        *(each.replace("/", "\\/") for each in json_spellings),
        *uri_spellings,
        *(re.sub(r"%[0-9A-F]{2}", lambda code: code.group().lower(), each) for each in uri_spellings),
        *xml_spellings,
    }


def _binary_spellings(data: bytes) -> set[str]:
    found = {data.hex(), data.hex().upper(), data.hex(":"), data.hex(" "), data.hex(":").upper()}
    for offset in range(3):
        # the characters at the edges also depend on the neighbours: only those that the secret alone decides are searched for
        text = base64.b64encode(bytes(offset) + data).decode("ascii").rstrip("=")
        first = (offset * 8 + 5) // 6
        last = (offset + len(data)) * 8 // 6
        inner = text[first:last]
        if len(inner) >= MIN_LENGTH:
            found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return found


class Masker:
    """All secrets of one run. Masks may be added while it runs: what is masked later has them all.

    Secrets that overlap in the text are hidden together; the search takes as long for fifty secrets as for one.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._forms: dict[str, list[str]] = {}
        self.longest = 0
        self.add(*values)

    def add(self, *values: str) -> None:
        """``values`` are masked from now on; those that are too short are left out."""
        for value in values:
            if value in self._values:
                continue
            self._values.add(value)
            for form in forms_of(value):
                alike = self._forms.setdefault(form[:MIN_LENGTH], [])
                if form not in alike:
                    alike.append(form)
                    alike.sort(key=len, reverse=True)
                    self.longest = max(self.longest, len(form))

    def mask(self, text: str) -> str:
        """``text`` with every spelling of every secret replaced by ``MASK``."""
        parts, at = [], 0
        for start, end in self.spans(text):
            parts += [text[at:start], MASK]
            at = end
        return "".join([*parts, text[at:]]) if parts else text

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where secrets stand in ``text``, in order; what overlaps is one span."""
        found: list[tuple[int, int]] = []
        if not self._forms:
            return found
        forms = self._forms
        for at in range(len(text) - MIN_LENGTH + 1):
            alike = forms.get(text[at : at + MIN_LENGTH])
            if alike is None:
                continue
            form = next((each for each in alike if text.startswith(each, at)), None)
            if form is None:
                continue
            if found and at < found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], at + len(form)))
            else:
                found.append((at, at + len(form)))
        return found

    def holds_secret(self, text: str) -> bool:
        """True when ``text`` holds a secret in any masked spelling."""
        return bool(self.spans(text))


class LineMasker:
    """Cuts a stream of text into masked lines of bounded length. A secret cut by chunks, by the length limit or by base64 wrapping is masked.

    One per stream: two streams that share one would mix their lines.
    """

    def __init__(self, masker: Masker, *, max_characters: int = MAX_LINE_CHARACTERS) -> None:
        self._masker = masker
        self._limit = max_characters
        self._parts: list[str] = []
        self._length = 0
        self._dropped = 0
        self._held: list[str] = []
        self._held_length = 0

    def feed(self, text: str) -> Iterator[str]:
        """The lines that ``text`` completes, masked, in order."""
        *complete, rest = text.split("\n")
        for piece in complete:
            self._append(piece)
            yield from self._hold(*self._take())
        self._append(rest)

    def end(self) -> Iterator[str]:
        """What is left, masked, when the stream has ended."""
        if self._length:
            yield from self._hold(*self._take())
        yield from self._release()

    def _append(self, piece: str) -> None:
        room = self._limit + self._masker.longest - self._length
        kept = piece[: max(0, room)]
        self._dropped += len(piece) - len(kept)
        if kept:
            self._parts.append(kept)
            self._length += len(kept)

    def _take(self) -> tuple[str, int]:
        line, dropped = "".join(self._parts), self._dropped
        self._parts, self._length, self._dropped = [], 0, 0
        if not dropped:
            line = line.removesuffix("\r")
        return line, dropped

    def _hold(self, line: str, dropped: int) -> Iterator[str]:
        """Lines of pure base64 or hexadecimal wait for their continuation, so that a secret across the break is seen."""
        continues = not dropped and len(line) <= self._limit and _WRAPPED.fullmatch(line) is not None
        if not continues:
            yield from self._release()
            yield self._finish(line, self._masker.spans(line), dropped)
            return
        self._held.append(line)
        self._held_length += len(line)
        if len(line) < _WRAP_COLUMNS:
            yield from self._release()
        elif self._held_length > _MAX_HELD_CHARACTERS:
            yield from self._release(keep=self._masker.longest)

    def _release(self, *, keep: int = 0) -> Iterator[str]:
        """The held lines, masked as the one text that they were; the last ``keep`` characters stay held."""
        joined = "".join(self._held)
        spans = self._masker.spans(joined)
        at = 0
        while self._held and (not keep or self._held_length - len(self._held[0]) >= keep):
            line = self._held.pop(0)
            self._held_length -= len(line)
            inside = [(max(start, at) - at, min(end, at + len(line)) - at) for start, end in spans if start < at + len(line) and end > at]
            at += len(line)
            yield self._finish(line, inside, 0)
        if self._held and any(start < at < end for start, end in spans):
            # the cut went through a secret: what is left of it is masked here and now
            end = max(end for start, end in spans if start < at < end) - at
            self._held = _without(self._held, end)
            self._held_length = sum(map(len, self._held))

    def _finish(self, line: str, spans: list[tuple[int, int]], dropped: int) -> str:
        cut = min(len(line), self._limit)
        parts, at = [], 0
        for start, end in spans:
            if start >= cut:
                break
            parts += [line[at:start], MASK]
            at = end
        parts.append(line[at:cut])
        lost = dropped + len(line) - max(at, cut)
        return "".join(parts) + (f"…[truncated {lost} characters]" if lost > 0 else "")


def _without(lines: list[str], count: int) -> list[str]:
    """``lines`` with their first ``count`` characters replaced by one mask."""
    rest = list(lines)
    while rest and count >= len(rest[0]):
        count -= len(rest.pop(0))
    if rest:
        rest[0] = rest[0][count:]
    return [MASK, *rest]
