# SPDX-License-Identifier: Apache-2.0
"""``python -m api --settings FILE``: the API of a site, over TLS when its settings name a certificate.

Serves until SIGTERM or SIGINT, then finishes the requests in hand.
Exit codes: 0 ended as asked, 2 the settings are wrong, 1 it could not serve (the log says why).
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from api.app import Served, from_settings
from waybill.errors import FormatError

_GRACE_SECONDS: Final = 10
"""How long open event streams may hold up the end."""


def main(arguments: Sequence[str] | None = None, *, dress: Callable[[FastAPI], object] | None = None) -> int:
    """The exit code, after the server has ended.

    Args:
        dress: what is mounted on the application before it is served; the pages come in this way, because the API does not know them.
    """
    given = _parse(arguments)
    try:
        served = from_settings(given.settings)
    except FormatError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if dress is not None:
        dress(served.app)
    server = uvicorn.Server(_config(served))
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server takes these itself while it runs and raises them again when it has ended; asked to end, ending is no failure.
        signal.signal(number, lambda *_: None)
    try:
        server.run()
    finally:
        served.close()
    return 0 if server.started else 1


def _config(served: Served) -> uvicorn.Config:
    """Our own log lines instead of the server's, no hint of the program in the headers, no address taken from a header."""
    return uvicorn.Config(
        served.app,
        host=served.host,
        port=served.port,
        ssl_certfile=None if served.certificate_file is None else str(served.certificate_file),
        ssl_keyfile=None if served.key_file is None else str(served.key_file),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    named = os.environ.get("WAYBILL_SETTINGS")
    parser.add_argument(
        "--settings",
        type=Path,
        default=None if named is None else Path(named),
        required=named is None,
        help="the TOML file of the settings (or WAYBILL_SETTINGS)",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the engine's client library may crash while the interpreter is taken down
