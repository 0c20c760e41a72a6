# SPDX-License-Identifier: Apache-2.0
"""Runs ``waybill`` as a person would: a process of its own for each command, JSON on standard output."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from waybill.errors import ConflictError

TIMEOUT_SECONDS = 180


class CommandLine:
    """``waybill`` at one site and in one Space. ``echo`` shows each command before it runs."""

    def __init__(self, *, config: Path, profile: str, space: str, authority: Path, echo: Any) -> None:
        self._environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(config.parent),
            "WAYBILL_CONFIG": str(config),
            "WAYBILL_CA": str(authority),
            "LANG": "C.UTF-8",
        }
        self._program = str(Path(sys.executable).parent / "waybill")
        self.profile, self.space = profile, space
        self._echo = echo

    def run(self, *arguments: str, stdin: str | None = None) -> Any:
        """The JSON that the command printed; None when it printed nothing.

        Raises:
            ConflictError: step.failed with the end of its standard error, when it does not end with 0.
        """
        self._echo(self.profile, arguments)
        ended = self._call(arguments, stdin)
        if ended.returncode != 0:
            said = " | ".join(ended.stderr.strip().splitlines()[-6:])
            raise ConflictError("step.failed", f"waybill {' '.join(arguments[:3])} ended with {ended.returncode}: {said}")
        return json.loads(ended.stdout) if ended.stdout.strip() else None

    def exit_code(self, *arguments: str, stdin: str | None = None) -> int:
        """The exit code alone, for a command that is meant to refuse."""
        return self._call(arguments, stdin).returncode

    def sign_in(self, url: str, *, username: str, password: str) -> None:
        """The profile holds a key of its own for the site at ``url``."""
        self.run("login", url, "--username", username, "--password-stdin", stdin=password)

    def _call(self, arguments: tuple[str, ...], stdin: str | None) -> subprocess.CompletedProcess[str]:
        command = [
            self._program,
            "--profile",
            self.profile,
            "--space",
            self.space,
            "--output",
            "json",
            "--progress",
            "none",
            "--yes",
            *arguments,
        ]
        return subprocess.run(
            command,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
