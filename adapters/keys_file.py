# SPDX-License-Identifier: Apache-2.0
"""The key file: a ring of 32-byte keys outside the database, which wraps what the database holds.

A copy of the database alone opens nothing. Wrapping is AES-256-GCM with a fresh nonce; the associated data binds the key's id and the context
(``table|column|row id|space id``), so that a value copied to another row or another Space does not open there.
Refused: a file that others than its owner can read or change, that belongs to somebody else, or that is a symbolic link.
It should never lie in the same backup as the database.

Wrapped form: one byte version (1), one byte length of the key id, the key id, 12 bytes nonce, ciphertext with its 16 bytes tag.

Source: NIST SP 800-38D (GCM); at most 2^32 values under one key with random nonces, section 8.3.
"""

import base64
import binascii
import contextlib
import json
import os
import secrets
import stat
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from waybill.errors import UnavailableError

_SCHEMA: Final = "waybill.key-file.v1"
_VERSION: Final = 1
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_MAX_FILE_BYTES: Final = 1024 * 1024
_DOMAIN: Final = b"waybill.wrap.v1"


class _Ring(NamedTuple):
    active: str
    keys: Mapping[str, bytes]


class KeyFile:
    """``waybill.ports.KeyStore`` on a file. Safe to share between threads; a key that another process added is found without a restart."""

    def __init__(self, path: Path) -> None:
        """Reads the ring. Raises UnavailableError keystore.unavailable."""
        self._path = path
        self._lock = threading.Lock()
        self._ring = _read(path)

    def wrap(self, plaintext: bytes, *, context: str) -> bytes:
        """``plaintext`` under the newest key, bound to ``context``."""
        ring = self._ring
        key_id = ring.active.encode()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(ring.keys[ring.active]).encrypt(nonce, plaintext, _associated(key_id, context))
        return bytes([_VERSION, len(key_id)]) + key_id + nonce + sealed

    def unwrap(self, wrapped: bytes, *, context: str) -> bytes:
        """The plaintext. Raises UnavailableError keystore.unavailable when the key is absent, or value and context do not belong together."""
        if len(wrapped) < 2 or wrapped[0] != _VERSION:
            raise _unavailable("a stored value is not in a form that this program knows")
        start = 2 + wrapped[1]
        key_id, nonce, sealed = wrapped[2:start], wrapped[start : start + _NONCE_BYTES], wrapped[start + _NONCE_BYTES :]
        key = self._key(key_id.decode("ascii", errors="replace"))
        try:
            return AESGCM(key).decrypt(nonce, sealed, _associated(key_id, context))
        except (InvalidTag, ValueError) as error:
            raise _unavailable("a stored value does not open here: it was changed, or belongs to another place") from error

    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys, the active one last."""
        ring = self._ring
        return (*(key_id for key_id in ring.keys if key_id != ring.active), ring.active)

    def _key(self, key_id: str) -> bytes:
        """The key, after one look into the file when it is not known yet: another process may have rotated."""
        if key_id not in self._ring.keys:
            with self._lock:
                self._ring = _read(self._path)
        if key_id not in self._ring.keys:
            raise _unavailable("the key of a stored value is not in the key file")
        return self._ring.keys[key_id]


def generate(path: Path) -> str:
    """A new key file with one key stands at ``path``, readable by its owner only; returns the key's id.

    Raises:
        UnavailableError: keystore.unavailable, when something is there already (it is never overwritten) or cannot be written.
    """
    key_id = _new_id()
    try:
        _write_new(path, _Ring(key_id, {key_id: os.urandom(_KEY_BYTES)}))
    except FileExistsError as error:
        raise _unavailable("there is a key file already") from error
    except OSError as error:
        raise _unavailable(f"the key file cannot be written ({error.strerror})") from error
    return key_id


def rotate(path: Path) -> str:
    """The file has one more key, which is the active one; the older ones stay and still open what they wrapped. Returns the new id.

    The new ring is written beside the file and takes its place at once, so that a crash leaves the old ring or the new one.
    Two rotations at the same time: the second is refused.
    Raises:
        UnavailableError: keystore.unavailable.
    """
    ring = _read(path)
    key_id = _new_id()
    beside = path.with_name(path.name + ".new")
    try:
        _write_new(beside, _Ring(key_id, {**ring.keys, key_id: os.urandom(_KEY_BYTES)}))
    except OSError as error:
        raise _unavailable(f"another rotation is under way or was broken off; see {beside.name} ({error.strerror})") from error
    try:
        os.replace(beside, path)
        _sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise _unavailable(f"the key file cannot be replaced ({error.strerror})") from error
    return key_id


def _new_id() -> str:
    return f"kek_{secrets.token_hex(8)}"


def _associated(key_id: bytes, context: str) -> bytes:
    # The id has no zero byte, so the three parts cannot be read in two ways.
    return b"\x00".join((_DOMAIN, key_id, context.encode()))


def _unavailable(message: str) -> UnavailableError:
    return UnavailableError("keystore.unavailable", message)


def _write_new(path: Path, ring: _Ring) -> None:
    """``ring`` in a new file, on the disk before this returns. Raises OSError, FileExistsError among them."""
    keys = {key_id: base64.b64encode(key).decode() for key_id, key in ring.keys.items()}
    text = json.dumps({"schema": _SCHEMA, "active": ring.active, "keys": keys}, indent=2) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), 0o600)
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> _Ring:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise _unavailable(f"the key file cannot be opened ({error.strerror})") from error
    try:
        # The open file is asked, not the name: nobody can put another one under the name in between.
        _check_private(os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            data = stream.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unavailable(f"the key file cannot be read ({error.strerror})") from error
    finally:
        os.close(descriptor)
    return _parse(data)


def _check_private(status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise _unavailable("the key file must be a plain file of the user that runs Waybill")
    if mode & 0o077:
        raise UnavailableError(
            "keystore.unavailable", "the key file can be read or changed by others; chmod 600", expected="0600", found=f"{mode:04o}"
        )


def _parse(data: bytes) -> _Ring:
    try:
        content = json.loads(data)
        keys = {str(key_id): base64.b64decode(key, validate=True) for key_id, key in content["keys"].items()}
        active = content["active"]
        is_right = (
            content["schema"] == _SCHEMA
            and len(data) <= _MAX_FILE_BYTES
            and active in keys
            and all(len(key) == _KEY_BYTES for key in keys.values())
            and all(key_id.isascii() and key_id.isprintable() and 0 < len(key_id) < 256 for key_id in keys)
        )
    except (ValueError, binascii.Error, KeyError, TypeError, AttributeError):
        is_right = False
    # Raised outside the handler: the cause of a parse error could quote the content.
    if not is_right:
        raise _unavailable("the key file cannot be read as a ring of keys")
    return _Ring(active, keys)
