# SPDX-License-Identifier: Apache-2.0
"""What Temporal stores is encrypted: AES-256-GCM under a ring of keys, one derived key per namespace.

The Temporal server, its database and its operators see ciphertext, names, ids and times.
A payload of another namespace does not open, although both rings may come from one file.
Refused: an unknown key id, changed bytes, a payload moved to another key id or namespace.

Not encrypted by Temporal itself: workflow ids, activity types, queue names, failure types. They hold ids and codes only.
"""

import asyncio
import base64
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import CompositePayloadConverter, DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec

from waybill.errors import FormatError

ENCODING: Final = b"binary/encrypted"
_NONCE_BYTES: Final = 12
_THREAD_ABOVE_BYTES: Final = 512 * 1024
_MAX_RING_BYTES: Final = 64 * 1024


class KeyRing:
    """Keys by id, and which one encrypts. Old keys stay until nothing that they encrypted is retained any more."""

    def __init__(self, keys: Mapping[str, bytes], active: str) -> None:
        if active not in keys:
            raise FormatError("settings.invalid", "The active key is not in the codec key ring", field="active", found=active)
        for key_id, key in keys.items():
            if len(key) != 32:
                raise FormatError("settings.invalid", "A codec key has 32 bytes", field=key_id, expected=32, found=len(key))
        self.keys = dict(keys)
        self.active = active

    def __repr__(self) -> str:
        return f"KeyRing(active={self.active!r}, ids={sorted(self.keys)})"


def read_key_ring(path: Path) -> KeyRing:
    """The ring in a JSON file ``{"active": id, "keys": {id: base64 of 32 bytes}}``.

    Raises:
        FormatError: settings.invalid, when the file is not of that form.
    """
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_MAX_RING_BYTES))
        keys = {str(key_id): base64.b64decode(text, validate=True) for key_id, text in document["keys"].items()}
        return KeyRing(keys, str(document["active"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # The cause is not chained: a JSON error quotes the file, and the file is a secret.
        raise FormatError("settings.invalid", f"The codec key ring {path.name} cannot be read ({type(error).__name__})") from None


def write_key_ring(path: Path, *, active: str = "k1") -> KeyRing:
    """A new ring with one random key in a new file that only its owner can read.

    Raises:
        FormatError: settings.invalid, when the file exists already; a ring that is lost makes running stories unreadable.
    """
    key = os.urandom(32)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise FormatError("settings.invalid", f"The codec key ring {path.name} exists already") from None
    with os.fdopen(handle, "w", encoding="ascii") as file:
        json.dump({"active": active, "keys": {active: base64.b64encode(key).decode()}}, file)
    return KeyRing({active: key}, active)


class KeyRingCodec(PayloadCodec):
    """Encrypts whole payloads for one namespace; plain payloads pass on decode, as those of an operator's command line do."""

    def __init__(self, ring: KeyRing, *, namespace: str) -> None:
        self._namespace = namespace.encode()
        self._active = ring.active
        self._ciphers = {key_id: AESGCM(_derive(key, self._namespace)) for key_id, key in ring.keys.items()}

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Every payload encrypted under the active key."""
        if sum(payload.ByteSize() for payload in payloads) > _THREAD_ABOVE_BYTES:
            return await asyncio.to_thread(lambda: [self._seal(payload) for payload in payloads])
        return [self._seal(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Every encrypted payload opened.

        Raises:
            FormatError: payload.undecodable, for an unknown key id, a foreign namespace or changed bytes.
        """
        if sum(payload.ByteSize() for payload in payloads) > _THREAD_ABOVE_BYTES:
            return await asyncio.to_thread(lambda: [self._open(payload) for payload in payloads])
        return [self._open(payload) for payload in payloads]

    def _bound_to(self, key_id: bytes) -> bytes:
        # Only the namespace: Temporal copies payloads between workflows, so a workflow id would not survive.
        return b"|".join((ENCODING, self._namespace, key_id))

    def _seal(self, payload: Payload) -> Payload:
        key_id = self._active.encode()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._active].encrypt(nonce, payload.SerializeToString(), self._bound_to(key_id))
        return Payload(metadata={"encoding": ENCODING, "cipher": b"AES-256-GCM", "key-id": key_id}, data=nonce + sealed)

    def _open(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        key_id = payload.metadata.get("key-id", b"")
        cipher = self._ciphers.get(key_id.decode(errors="replace"))
        if cipher is None:
            raise FormatError("payload.undecodable", "The payload was encrypted under a key that is not in the ring", field="key-id")
        try:
            plain = cipher.decrypt(payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:], self._bound_to(key_id))
        except (InvalidTag, ValueError):
            raise FormatError("payload.undecodable", "The payload was changed, or belongs to another namespace") from None
        opened = Payload()
        opened.ParseFromString(plain)  # authenticated: these are the bytes that _seal serialised
        return opened


def _derive(key: bytes, namespace: bytes) -> bytes:
    """One key per namespace. Source: RFC 5869."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"waybill/temporal-codec/v1|" + namespace).derive(key)


class _SharedConverter(CompositePayloadConverter):
    """The converters of Pydantic's payloads, made once: the engine asks for a new set for each story, and validators are dear to build."""

    _CONVERTERS: ClassVar = tuple(PydanticPayloadConverter().converters.values())

    def __init__(self) -> None:
        super().__init__(*self._CONVERTERS)


def make_converter(ring: KeyRing, *, namespace: str) -> DataConverter:
    """The one converter of a namespace, for clients, workers, the replayer and the codec server alike.

    Failure messages and stacks are encrypted too; only the error's code stays readable.
    """
    return DataConverter(
        payload_converter_class=_SharedConverter,
        payload_codec=KeyRingCodec(ring, namespace=namespace),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
