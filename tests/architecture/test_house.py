# SPDX-License-Identifier: Apache-2.0
"""The house: one direction of imports, modules that do nothing when imported, files and functions of a readable size."""

import ast
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("waybill", "adapters", "activities", "workflows", "worker", "api", "web", "cli", "sites")
MAX_LINES = 400
MAX_BODY_LINES = 60


def python_files() -> Iterator[Path]:
    """Every module of ours."""
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def test_import_contracts_hold() -> None:
    """The contracts of pyproject.toml are kept."""
    ended = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-2000:]


def test_the_core_imports_with_an_empty_environment_and_no_sockets() -> None:
    """Importing every module of the core reads no environment and opens no socket."""
    names = sorted(f"waybill.{found.name[len('waybill.') :]}" for found in pkgutil.walk_packages([str(ROOT / "waybill")], "waybill."))
    code = (
        "import socket, os\n"
        "def refuse(*a, **k): raise SystemExit('a socket was opened at import')\n"
        "socket.socket = refuse\nos.environ.clear()\n"
        f"import importlib\nfor name in {names!r}: importlib.import_module(name)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env={})
    assert ended.returncode == 0, ended.stderr[-2000:]


@pytest.mark.parametrize("package", PACKAGES)
def test_files_are_short(package: str) -> None:
    """No file holds more than one room's worth of lines."""
    too_long = {
        str(path.relative_to(ROOT)): count
        for path in sorted((ROOT / package).rglob("*.py"))
        if (count := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert not too_long


@pytest.mark.parametrize("package", PACKAGES)
def test_function_bodies_are_short(package: str) -> None:
    """No function body is longer than a screen."""
    too_long = []
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                lines = (node.end_lineno or 0) - first.lineno + 1
                if lines > MAX_BODY_LINES:
                    too_long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} {lines}")
    assert not too_long


@pytest.mark.parametrize("package", PACKAGES)
def test_public_things_have_docstrings(package: str) -> None:
    """Modules, public classes and public functions say what they are for."""
    silent = []
    for path in sorted((ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text())
        if tree.body and ast.get_docstring(tree) is None:
            silent.append(f"{path.relative_to(ROOT)} (module)")
        for node in tree.body:
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                and not node.name.startswith("_")
                and ast.get_docstring(node) is None
            ):
                silent.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert not silent


def test_every_source_file_names_its_licence() -> None:
    """One SPDX line opens each module that is not empty."""
    unmarked = [
        str(path.relative_to(ROOT))
        for path in python_files()
        if (text := path.read_text()) and "SPDX-License-Identifier: Apache-2.0" not in text[:200]
    ]
    assert not unmarked


def test_the_command_line_starts_without_the_workflow_engine() -> None:
    """Importing the whole command line imports neither temporalio nor sqlalchemy nor boto3."""
    code = "import sys, cli.__main__; print([name for name in ('temporalio', 'sqlalchemy', 'boto3', 'fastapi') if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.strip() == "[]"
