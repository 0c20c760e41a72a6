# SPDX-License-Identifier: Apache-2.0
"""Makes step packages, wheels and npm packages in memory for tests; the store that serves them is a plain HTTP server on the loopback."""

import gzip
import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from waybill.domain.ids import JsonValue

METADATA: dict[str, JsonValue] = {
    "schemaVersion": "1.1.0",
    "type": "step",
    "id": "tried",
    "version": "1.0.0",
    "name": "Tried",
    "description": "A step of a test",
    "categories": ["Other"],
    "launcher": "node",
}


def make_step(executor: str, *, metadata: Mapping[str, JsonValue] | None = None, schema: Mapping[str, JsonValue] | None = None) -> bytes:
    """A step package whose executor.js is ``module.exports = async ({ inputs, context }) => { <executor> }``."""
    return make_zip(
        {
            "metadata.json": json.dumps({**METADATA, **(metadata or {})}).encode(),
            "inputs.json": json.dumps(schema or {"type": "object"}).encode(),
            "executor.js": f"module.exports = async ({{ inputs, context }}) => {{ {executor} }};".encode(),
        }
    )


def make_zip(files: Mapping[str, bytes], *, modes: Mapping[str, int] | None = None) -> bytes:
    """A deflated zip with these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (modes or {}).get(name, 0o100644) << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def make_tar(files: Mapping[str, bytes], *, packed: bool = True, links: Mapping[str, str] | None = None) -> bytes:
    """A tar file in the pax form, as npm makes them, perhaps with symbolic links."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755 if name.endswith(".sh") else 0o644
            archive.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return gzip.compress(buffer.getvalue(), mtime=0) if packed else buffer.getvalue()


class Store:
    """Serves bytes under their digest; ``answers`` overrides a path with a status and other bytes."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.answers: dict[str, list[tuple[int, bytes]]] = {}
        self.requests: list[str] = []
        store = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                store.requests.append(self.path)
                queued = store.answers.get(self.path)
                found = store.blobs.get(self.path.strip("/"))
                status, body = queued.pop(0) if queued else (200, found) if found is not None else (404, b"")
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> str:
        """The digest under which ``data`` is served."""
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return digest

    def close(self) -> None:
        """The server is gone."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
