# SPDX-License-Identifier: Apache-2.0
"""The packages that a machine has fetched, by digest, and its unpacked step packages.

Every use hashes again what lies on the disk: a step runs as the same user and could have changed it.
Nothing is kept that does not have the wanted digest; nothing half written is ever seen under its final name.
"""

import hashlib
import os
import shutil
import ssl
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx2

from waybill.errors import ConflictError, FormatError, StepError, UnavailableError
from waybill.steps.manifest import MAX_PACKED_BYTES, StepPackageManifest, manifest_of, read_files

_PIECE_BYTES: Final = 1024 * 1024
_TIMEOUT_S: Final = 60.0
DEFAULT_MAX_BYTES: Final = 20 * 1024**3


def _never() -> bool:
    return False


class StepCache:
    """Files below ``root``, which belongs to one machine. Methods block; they may be called from several threads at once.

    Args:
        root: is made when absent, readable by nobody else.
        max_bytes: above this the files that were unused longest go, but never one in use.
    """

    def __init__(self, root: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._used: Counter[str] = Counter()
        self._lock = threading.Lock()
        for name in ("blobs", "steps", "partial"):
            (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def fetch(self, *, url: str, sha256: str, size_bytes: int, ca_pem: str | None, is_cancelled: Callable[[], bool] = _never) -> Path:
        """The file with exactly these bytes, fetched unless it is here; in use until ``release``.

        Args:
            url: grants a GET; redirects are refused.
            ca_pem: the certificate authority of the URL, else those of the machine.
        Raises:
            ConflictError: package.hash_mismatch or package.size_exceeded, when other bytes came.
            UnavailableError: store.unavailable, when the store does not answer or refuses.
            StepError: step.cancelled, when ``is_cancelled`` said so meanwhile.
        """
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise FormatError("package.digest_unsupported", "the digest is not a SHA-256", field="sha256")
        path = self._root / "blobs" / sha256
        with self._lock:
            self._used[sha256] += 1
        try:
            if not self._holds(path, sha256, is_cancelled):
                self._make_room(size_bytes)
                self._download(path, url=url, sha256=sha256, size_bytes=size_bytes, ca_pem=ca_pem, is_cancelled=is_cancelled)
            os.utime(path)
        except BaseException:
            self.release(sha256)
            raise
        return path

    def release(self, sha256: str) -> None:
        """One user less of that file."""
        with self._lock:
            self._used[sha256] -= 1
            if self._used[sha256] <= 0:
                del self._used[sha256]

    def unpack(self, path: Path, *, filename: str | None = None) -> tuple[Path, StepPackageManifest]:
        """The directory of the step package in ``path``, exactly its files, and its manifest.

        Args:
            filename: ``<id>.<version>.zip``; gives the version of an old package that does not say it.
        Raises:
            FormatError: step.package_invalid.
        """
        if path.stat().st_size > MAX_PACKED_BYTES:
            raise FormatError("step.package_invalid", "the package is too large", expected=f"at most {MAX_PACKED_BYTES} bytes")
        data = path.read_bytes()
        files = read_files(data)
        manifest = manifest_of(files, filename=filename)
        directory = self._root / "steps" / hashlib.sha256(data).hexdigest()
        with self._lock:
            if not _same(directory, files):
                _write(directory, files, self._root / "partial")
        return directory, manifest

    def _holds(self, path: Path, sha256: str, is_cancelled: Callable[[], bool]) -> bool:
        try:
            with path.open("rb") as file:
                digest = hashlib.sha256()
                while piece := file.read(_PIECE_BYTES):
                    _go_on(is_cancelled)
                    digest.update(piece)
        except FileNotFoundError:
            return False
        if digest.hexdigest() == sha256:
            return True
        path.unlink(missing_ok=True)
        return False

    def _download(
        self, path: Path, *, url: str, sha256: str, size_bytes: int, ca_pem: str | None, is_cancelled: Callable[[], bool]
    ) -> None:
        handle, name = tempfile.mkstemp(dir=self._root / "partial")
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                digest = _receive(url, file.write, size_bytes=size_bytes, ca_pem=ca_pem, is_cancelled=is_cancelled)
                file.flush()
                os.fsync(file.fileno())
            if digest != sha256:
                raise ConflictError("package.hash_mismatch", "other bytes came than the manifest names", expected=sha256, found=digest)
            partial.chmod(0o444)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _make_room(self, wanted_bytes: int) -> None:
        with self._lock:
            found = [(each.stat(), each) for each in (self._root / "blobs").iterdir()]
            total = sum(stat.st_size for stat, _ in found) + wanted_bytes
            for stat, path in sorted(found, key=lambda each: each[0].st_mtime):
                if total <= self._max_bytes:
                    return
                if path.name not in self._used:
                    path.unlink(missing_ok=True)
                    total -= stat.st_size


def _receive(url: str, write: Callable[[bytes], int], *, size_bytes: int, ca_pem: str | None, is_cancelled: Callable[[], bool]) -> str:
    """The SHA-256 of what came, at most ``size_bytes`` of it. The URL grants access, so it is in no error text."""
    digest, received = hashlib.sha256(), 0
    try:
        context = ssl.create_default_context(cadata=ca_pem)
        with (
            httpx2.Client(verify=context, trust_env=False, follow_redirects=False, timeout=_TIMEOUT_S) as client,
            client.stream("GET", url, headers={"accept-encoding": "identity"}) as answer,
        ):
            if answer.status_code != 200:
                raise UnavailableError("store.unavailable", "the store refused to give the package", expected=200, found=answer.status_code)
            for piece in answer.iter_raw(_PIECE_BYTES):
                _go_on(is_cancelled)
                received += len(piece)
                if received > size_bytes:
                    raise ConflictError("package.size_exceeded", "more bytes came than the manifest names", expected=size_bytes)
                digest.update(piece)
                write(piece)
    except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError) as error:
        raise UnavailableError("store.unavailable", f"the package could not be fetched ({type(error).__name__})") from error
    if received != size_bytes:
        raise UnavailableError("store.unavailable", "the package came incomplete", expected=size_bytes, found=received)
    return digest.hexdigest()


def _go_on(is_cancelled: Callable[[], bool]) -> None:
    if is_cancelled():
        raise StepError("step.cancelled", "the step was cancelled before it began")


def _same(directory: Path, files: dict[str, bytes]) -> bool:
    try:
        found = {each.name: each.read_bytes() if each.is_file() and not each.is_symlink() else None for each in directory.iterdir()}
    except FileNotFoundError:
        return False
    return found == files


def _write(directory: Path, files: dict[str, bytes], partial: Path) -> None:
    """``directory`` holds exactly ``files``, read-only, and is seen complete or not at all."""
    made = Path(tempfile.mkdtemp(dir=partial))
    for name, content in files.items():
        (made / name).write_bytes(content)
        (made / name).chmod(0o444)
    made.chmod(0o755)
    if directory.exists():
        shutil.rmtree(directory)
    made.rename(directory)
