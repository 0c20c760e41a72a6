# SPDX-License-Identifier: Apache-2.0
"""Small files that a command reads and writes, with an error for people instead of a stack when that fails."""

import json
from pathlib import Path
from typing import Any

from waybill.errors import FormatError, WaybillError


def read_bytes(file: Path) -> bytes:
    """The whole content of ``file``. Raises WaybillError cli.usage."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise WaybillError("cli.usage", f"{file} cannot be read: {error.strerror}", field="file") from error


def write_bytes(file: Path, content: bytes) -> None:
    """``file`` has this content. Raises WaybillError cli.usage."""
    try:
        file.write_bytes(content)
    except OSError as error:
        raise WaybillError("cli.usage", f"{file} cannot be written: {error.strerror}", field="--out") from error


def read_json(file: Path) -> Any:
    """The JSON in ``file``. Raises FormatError request.malformed with line and column."""
    try:
        return json.loads(read_bytes(file).decode("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FormatError("request.malformed", f"{file} is not JSON: {error}", field=str(file)) from error
