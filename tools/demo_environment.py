# SPDX-License-Identifier: Apache-2.0
"""Makes ``var/demo/environment``: the wheel and its locked dependencies, nothing of the clone. Run after ``tools/setup.py wheel``."""

import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from setup import ROOT, _step

HOME = ROOT / "var" / "demo" / "environment"


def main() -> int:
    """The environment holds today's wheel; 0, or 1 when a step failed (its log's end was shown)."""
    wheel = max((ROOT / "dist").glob("*.whl"))
    lock = ROOT / "requirements" / "runtime.txt"
    pip = [str(HOME / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    parts = [
        (
            HOME / "lock.stamp",
            _digest(lock),
            "environment of the demo",
            [[sys.executable, "-m", "venv", str(HOME)], [*pip, "--require-hashes", "-r", str(lock)]],
        ),
        (HOME / "wheel.stamp", _digest(wheel), "Waybill's wheel", [[*pip, "--no-deps", "--force-reinstall", str(wheel)]]),
    ]
    for stamp, digest, title, commands in parts:
        if stamp.exists() and stamp.read_text() == digest:
            continue
        if not all(_step(title, command) for command in commands):
            return 1
        stamp.write_text(digest)
    return 0


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
