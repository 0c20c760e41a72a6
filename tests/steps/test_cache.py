# SPDX-License-Identifier: Apache-2.0
"""The cache of a machine gives exact bytes or none, and this process can close itself to its own user."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.step_cache import StepCache
from tests.steps.conftest import STEPS
from tests.steps.packing import Store, make_step
from waybill.errors import ConflictError, FormatError, StepError, UnavailableError


def _fetch(cache: StepCache, store: Store, sha256: str, size_bytes: int) -> Path:
    return cache.fetch(url=f"{store.url}/{sha256}", sha256=sha256, size_bytes=size_bytes, ca_pem=None)


def test_bytes_are_fetched_once_and_hashed_at_every_use(store: Store, tmp_path: Path) -> None:
    """The second use asks nobody; bytes that a step changed on the disk are fetched again."""
    cache, digest = StepCache(tmp_path), store.put(b"package bytes")
    path = _fetch(cache, store, digest, 13)
    assert _fetch(cache, store, digest, 13).read_bytes() == b"package bytes"
    assert len(store.requests) == 1
    path.chmod(0o644)
    path.write_bytes(b"changed bytes")
    assert _fetch(cache, store, digest, 13).read_bytes() == b"package bytes"
    assert len(store.requests) == 2


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        ((200, b"other   bytes"), ConflictError, "package.hash_mismatch"),
        ((200, b"package bytes and more"), ConflictError, "package.size_exceeded"),
        ((200, b"package"), UnavailableError, "store.unavailable"),
        ((403, b"package bytes"), UnavailableError, "store.unavailable"),
        ((302, b""), UnavailableError, "store.unavailable"),
    ],
    ids=["other", "more", "less", "refused", "redirect"],
)
def test_nothing_wrong_is_kept(store: Store, tmp_path: Path, answer: tuple[int, bytes], error: type[Exception], code: str) -> None:
    """Other, more, fewer or no bytes are refused, nothing stays on the disk, the URL is not told, and the next try may succeed."""
    cache, digest = StepCache(tmp_path), store.put(b"package bytes")
    store.answers[f"/{digest}"] = [answer]
    with pytest.raises(error) as refused:
        _fetch(cache, store, digest, 13)
    assert getattr(refused.value, "code", None) == code
    assert store.url not in str(refused.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert _fetch(cache, store, digest, 13).read_bytes() == b"package bytes"


def test_a_cancelled_or_nonsensical_fetch_ends(store: Store, tmp_path: Path) -> None:
    """Cancelling ends a fetch with its code; a digest that is none never becomes a path; an unreachable store is unavailable."""
    cache, digest = StepCache(tmp_path), store.put(b"x")
    with pytest.raises(StepError) as cancelled:
        cache.fetch(url=f"{store.url}/{digest}", sha256=digest, size_bytes=1, ca_pem=None, is_cancelled=lambda: True)
    assert cancelled.value.code == "step.cancelled"
    with pytest.raises(FormatError):
        _fetch(cache, store, "../../" + "a" * 58, 1)
    for url in ("http://127.0.0.1:1/", "https://127.0.0.1:1/", "nonsense", "file:///etc/passwd"):
        with pytest.raises(UnavailableError):
            cache.fetch(url=url, sha256=digest, size_bytes=1, ca_pem=None)


def test_the_cache_is_bounded_but_keeps_what_is_in_use(store: Store, tmp_path: Path) -> None:
    """Files unused longest go first; one in use stays even over the limit."""
    cache = StepCache(tmp_path, max_bytes=25)
    held, old, new = (store.put(bytes([letter]) * 10) for letter in b"abc")
    _fetch(cache, store, held, 10)
    cache.release(_fetch(cache, store, old, 10).name)
    cache.release(_fetch(cache, store, new, 10).name)
    assert {path.name for path in (tmp_path / "blobs").iterdir()} == {held, new}


def test_a_step_package_is_unpacked_exactly_and_again_when_changed(tmp_path: Path) -> None:
    """Its files and no others, read-only; what a step changed or added is gone at the next use."""
    cache = StepCache(tmp_path / "cache")
    (tmp_path / "step.zip").write_bytes(make_step("return {}"))
    directory, manifest = cache.unpack(tmp_path / "step.zip")
    assert sorted(os.listdir(directory)) == ["executor.js", "inputs.json", "metadata.json"]
    assert manifest.id == "tried"
    (directory / "node_modules").mkdir()
    (directory / "executor.js").chmod(0o644)
    (directory / "executor.js").write_text("changed")
    again, _ = cache.unpack(tmp_path / "step.zip")
    assert again == directory
    assert sorted(os.listdir(directory)) == ["executor.js", "inputs.json", "metadata.json"]
    assert "changed" not in (directory / "executor.js").read_text()


def test_a_guarded_process_dumps_no_core_and_is_not_dumpable() -> None:
    """After the guard the core limit is 0 and the kernel says that the process is closed."""
    code = (
        "import ctypes, resource\nfrom adapters.process_guard import protect_this_process\n"
        "print(protect_this_process(), resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=STEPS.parent, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "True (0, 0) 0"
