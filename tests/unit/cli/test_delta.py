# SPDX-License-Identifier: Apache-2.0
"""``waybill delta`` on files, without any server: what comes out, what is refused, and what never appears."""

import hashlib
from pathlib import Path

import pytest

from cli.exits import Exit
from tests.delta_subjects import subjects
from tests.unit.cli.runner import CommandLine

WHEEL = subjects()[0]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with both versions."""
    (tmp_path / "old.whl").write_bytes(WHEEL.base)
    (tmp_path / "new.whl").write_bytes(WHEEL.new)
    return tmp_path


@pytest.mark.parametrize("tier", ["online", "best"])
def test_made_shown_and_applied(stranger: CommandLine, files: Path, tier: str) -> None:
    """The numbers of all three agree, and the very file comes out."""
    old, new, delta, out = (str(files / name) for name in ("old.whl", "new.whl", "change.wbd", "out.whl"))
    made = stranger("delta", "make", old, new, delta, "--tier", tier, "-o", "json")
    assert made.code == 0, made.err
    shown = stranger("delta", "inspect", delta, "-o", "json")
    applied = stranger("delta", "apply", old, delta, out, "-o", "json")
    digest = hashlib.sha256(WHEEL.new).hexdigest()
    assert made.json["result_sha256"] == shown.json["result_sha256"] == applied.json["sha256"] == digest
    assert made.json["size"] == shown.json["delta_size"] == (files / "change.wbd").stat().st_size < len(WHEEL.new) // 2
    assert (files / "out.whl").read_bytes() == WHEEL.new


@pytest.mark.parametrize(
    ("base", "delta", "code", "ends"),
    [
        ("new.whl", "good.wbd", "delta.base_mismatch", Exit.VERIFICATION),
        ("old.whl", "cut.wbd", "delta.malformed", Exit.VERIFICATION),
        ("old.whl", "new.whl", "delta.malformed", Exit.VERIFICATION),
        ("old.whl", "absent.wbd", "cli.usage", Exit.USAGE),
    ],
)
def test_what_cannot_be_applied_leaves_no_file(stranger: CommandLine, files: Path, base: str, delta: str, code: str, ends: Exit) -> None:
    """Neither the output nor anything temporary beside it."""
    (files / "good.wbd").write_bytes(WHEEL.delta)
    (files / "cut.wbd").write_bytes(WHEEL.delta[:-30])
    before = sorted(files.iterdir())
    ended = stranger("delta", "apply", str(files / base), str(files / delta), str(files / "out.whl"))
    assert (ended.code, code in ended.err) == (ends, True), ended.err
    assert sorted(files.iterdir()) == before


def test_an_output_that_was_there_stays_when_the_work_fails(stranger: CommandLine, files: Path) -> None:
    (files / "out.whl").write_bytes(b"precious")
    (files / "bad.wbd").write_bytes(WHEEL.delta[:-1] + b"?")
    assert stranger("delta", "apply", str(files / "old.whl"), str(files / "bad.wbd"), str(files / "out.whl")).code == Exit.VERIFICATION
    assert (files / "out.whl").read_bytes() == b"precious"


def test_wrong_values_are_told_before_any_work(stranger: CommandLine, files: Path) -> None:
    """A bound of memory that is too low, and a place that cannot be written."""
    old, new = str(files / "old.whl"), str(files / "new.whl")
    low = stranger("delta", "make", old, new, str(files / "d"), "--max-memory", "5")
    assert (low.code, "--max-memory" in low.err) == (Exit.USAGE, True)
    nowhere = stranger("delta", "make", old, new, str(files / "absent" / "d"))
    assert (nowhere.code, "cannot be written" in nowhere.err) == (Exit.USAGE, True)
