# SPDX-License-Identifier: Apache-2.0
"""Looks at disks, processes and packages without asking Waybill: the second confirmation of each claim."""

import base64
import hashlib
import json
import os
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sites.layout import SiteLayout

_PIECE = 4 * 1024 * 1024


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def package_members(path: Path) -> dict[str, str]:
    """Member name to SHA-256 of each regular file in a wheel, zip or tar package."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist() if not name.endswith("/")}
    with tarfile.open(path) as archive:
        found = {}
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                found[member.name] = hashlib.sha256(content.read()).hexdigest()
        return found


def deployed_files(directory: Path) -> dict[str, str]:
    """Path below ``directory`` to SHA-256 of each file there, links followed."""
    root = directory.resolve()
    return {str(path.relative_to(root)): sha256_file(path) for path in sorted(root.rglob("*")) if path.is_file()}


def missing_or_different(package: Path, directory: Path, *, strip: str = "") -> list[str]:
    """Members of ``package`` that are not in ``directory`` with the same bytes; ``strip`` is a leading directory of the archive."""
    deployed = deployed_files(directory)
    return [name for name, digest in package_members(package).items() if deployed.get(name.removeprefix(strip)) != digest]


def stored_object(layout: SiteLayout, sha256: str) -> Path | None:
    """The file in which the site's S3 server keeps the blob, found by walking its disk."""
    return next((path for path in (layout.data / "objects").rglob(sha256) if path.is_file()), None)


def stored_and_right(layout: SiteLayout, sha256: str) -> bool:
    """True when the S3 server's disk holds the blob and its bytes hash to its name."""
    path = stored_object(layout, sha256)
    return path is not None and sha256_file(path) == sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Where a form of the secret was seen; never the secret itself."""

    where: str
    form: str


def secret_forms(secret: str) -> dict[str, bytes]:
    """The secret as raw text, in hexadecimal, and in base64 at its three offsets without the edges that neighbours change."""
    raw = secret.encode()
    forms = {"raw": raw, "hex": raw.hex().encode(), "HEX": raw.hex().upper().encode()}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw)
        forms[f"base64 at offset {offset}"] = encoded[4 if offset else 0 : len(encoded) - 4]
        forms[f"base64url at offset {offset}"] = forms[f"base64 at offset {offset}"].translate(bytes.maketrans(b"+/", b"-_"))
    return forms


def search_files(roots: Iterable[Path], secret: str) -> list[Sighting]:
    """Every file under ``roots`` that holds a form of ``secret``: databases and their logs, stores, Temporal files, logs, settings."""
    forms = secret_forms(secret)
    longest = max(len(form) for form in forms.values())
    return [
        Sighting(where=str(path), form=form)
        for root in roots
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
        for form in _forms_in(path, forms, longest)
    ]


def search_processes(secret: str) -> list[Sighting]:
    """Every process whose arguments or environment hold a form of ``secret``."""
    forms = secret_forms(secret)
    found = []
    for home in Path("/proc").iterdir():
        if not home.name.isdigit() or int(home.name) == os.getpid():
            continue
        for name in ("cmdline", "environ"):
            try:
                content = (home / name).read_bytes()
            except OSError:
                continue  # it ended, or it is somebody else's
            found += [Sighting(where=f"process {home.name} {name}", form=form) for form, pattern in forms.items() if pattern in content]
    return found


def count_files(roots: Iterable[Path]) -> tuple[int, int]:
    """How many files, and how many bytes, lie under ``roots``."""
    sizes = [path.stat().st_size for root in roots for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    return len(sizes), sum(sizes)


def memory_of(pids: Iterable[int]) -> int:
    """Bytes of memory of the processes and their children: proportional set size, so that shared pages count once."""
    total = 0
    for pid in _with_children(pids):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def _with_children(pids: Iterable[int]) -> set[int]:
    wanted = set(pids)
    parents = {}
    for home in Path("/proc").iterdir():
        if home.name.isdigit():
            try:
                parents[int(home.name)] = int((home / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    grown = True
    while grown:
        grown = False
        for pid, parent in parents.items():
            if parent in wanted and pid not in wanted:
                wanted.add(pid)
                grown = True
    return wanted


def _forms_in(path: Path, forms: dict[str, bytes], longest: int) -> Iterator[str]:
    seen: set[str] = set()
    tail = b""
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                window = tail + piece
                seen.update(name for name, pattern in forms.items() if pattern in window)
                tail = window[-longest:]
    except FileNotFoundError:
        return  # a scratch file that went meanwhile
    yield from sorted(seen)


def receipt_is_signed_by(envelope: Path, identity: Path, *, release_sha256: str) -> tuple[bool, str]:
    """Whether the DSSE envelope of a receipt verifies under the signing key of the identity file, and names the release; no code of ours is used."""
    receipt = json.loads(envelope.read_text())
    payload = base64.b64decode(receipt["payload"])
    document = json.loads(base64.b64decode(json.loads(identity.read_text())["payload"]))
    kind = receipt["payloadType"].encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    good = 0
    for entry in document["signing"]:
        certificate = x509.load_der_x509_certificate(base64.b64decode(entry["certificate"] if isinstance(entry, dict) else entry))
        key = certificate.public_key()
        for signature in receipt["signatures"]:
            try:
                if isinstance(key, Ed25519PublicKey):
                    key.verify(base64.b64decode(signature["sig"]), signed)
                    good += 1
            except InvalidSignature:
                continue
    subjects = {subject["digest"]["sha256"] for subject in json.loads(payload)["subject"]}
    named = release_sha256 in subjects
    return (
        good > 0 and named,
        f"{good} Ed25519 signature of the target's key over the exact bytes; release digest {'among' if named else 'NOT among'} its subjects",
    )
