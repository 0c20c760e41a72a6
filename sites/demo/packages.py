# SPDX-License-Identifier: Apache-2.0
"""The real packages of the demo, in exact versions from the public registries, each checked against a digest that stands here."""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from waybill.errors import ConflictError, UnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicPackage:
    """One file of a public registry. ``kind``: ``wheel`` or ``npm``."""

    kind: str
    package_id: str
    version: str
    filename: str
    sha256: str
    media_type: str


LOCALES = PublicPackage(
    kind="wheel",
    package_id="babel",
    version="2.17.0",
    filename="babel-2.17.0-py3-none-any.whl",
    sha256="4d0b53093fdfb4b21c92b5213dba5a1b23885afa8383709427046b21c366e5f2",
    media_type="application/zip",
)
STYLES_OLD = PublicPackage(
    kind="npm",
    package_id="@picocss/pico",
    version="2.0.6",
    filename="picocss-pico-2.0.6.tgz",
    sha256="8be1d6f1472e7dd71852a7362967ee9cdcf72cc71d17fd82a55d7ccbf4fba62e",
    media_type="application/gzip",
)
STYLES_NEW = PublicPackage(
    kind="npm",
    package_id="@picocss/pico",
    version="2.1.1",
    filename="picocss-pico-2.1.1.tgz",
    sha256="4affbb56f49df6d5325610b06762156f1dcdbc6ef57cea5c136d7e8a00a8cd24",
    media_type="application/gzip",
)


def fetch(package: PublicPackage, directory: Path) -> Path:
    """The package's file in ``directory``, fetched once by its ecosystem's own client.

    Raises:
        UnavailableError: transfer.interrupted, when the registry does not answer.
        ConflictError: package.hash_mismatch, when it serves other bytes.
    """
    path = directory / package.filename
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        _download(package, directory)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != package.sha256:
        raise ConflictError(
            "package.hash_mismatch", f"{package.filename} has other bytes", field=package.filename, expected=package.sha256, found=found
        )
    return path


def _download(package: PublicPackage, directory: Path) -> None:
    wanted = f"{package.package_id}=={package.version}" if package.kind == "wheel" else f"{package.package_id}@{package.version}"
    if package.kind == "wheel":
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--dest",
            str(directory),
            wanted,
        ]
    else:
        command = [shutil.which("npm") or "npm", "pack", "--silent", "--pack-destination", str(directory), wanted]
    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300, check=False)
    if ended.returncode != 0:
        raise UnavailableError("transfer.interrupted", f"the registry did not give {wanted}: {ended.stderr.strip()[-300:]}", field=wanted)
