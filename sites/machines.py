# SPDX-License-Identifier: Apache-2.0
"""The machines whose steps workers a site runs itself. Each has a directory with its own settings, token and steps codec ring.

Nothing else of the site is copied there: no database address, no key of a Space, no S3 credential.
"""

import json
import shutil
from pathlib import Path

from sites.create import write_private
from sites.layout import EmbeddedPorts, SiteLayout
from sites.programs import STEPS_NAMESPACE
from waybill.errors import ConflictError, NotFoundError

STEPS = next(
    # In the wheel; in a clone where `make` built them.
    (home for home in (Path(__file__).parent / "steps_dist", Path(__file__).parent.parent / "steps" / "dist") if home.exists()),
    Path(__file__).parent / "steps_dist",
)
"""The bootstrapper and the first-party step packages."""


def add_machine(layout: SiteLayout, *, name: str, token: str) -> Path:
    """The directory of a machine that ``waybill machine register`` made known; a running site starts its worker within a second.

    Args:
        token: as shown once by the registration.
    Raises:
        ConflictError: record.conflict, when the site runs a machine of this name already.
        NotFoundError: record.absent, without a Node runtime.
    """
    home = layout.machines / name
    if home.exists():
        raise ConflictError("record.conflict", f"the site runs a machine {name} already", field="name", found=name)
    node = shutil.which("node")
    if node is None:
        raise NotFoundError("record.absent", "Node.js 20 or newer is not on PATH; a machine needs it to run steps", field="node")
    ports = EmbeddedPorts.load(layout)
    partial = layout.machines / f".{name}.partial"
    partial.mkdir(mode=0o700)
    write_private(partial / "token", token.strip() + "\n")
    write_private(partial / "codec-steps.json", (layout.secrets / "codec-steps.json").read_text())
    for authority in ("api-ca.pem", "objects-ca.pem"):
        (partial / authority).write_text(layout.authority.read_text())
    (partial / "machine.toml").write_text(_settings(name, ports, node))
    partial.rename(home)
    return home


def machine_directories(layout: SiteLayout) -> list[Path]:
    """The directories of the machines that this site runs, by name."""
    return sorted(path for path in layout.machines.iterdir() if path.is_dir() and not path.name.startswith("."))


def _search_path(node: str) -> str:
    """Where scripts find their interpreters: Node's and Python's own directories, then the usual ones."""
    found = [str(Path(program).parent) for program in (node, shutil.which("python3")) if program]
    return ":".join(dict.fromkeys([*found, "/usr/local/bin", "/usr/bin", "/bin"]))


def _settings(name: str, ports: EmbeddedPorts, node: str) -> str:
    return f"""# The settings of one machine that runs steps. It has no place for a database, a key of the Space or an S3 credential.
name = {json.dumps(name)}
work_directory = "work"
api_url = "https://127.0.0.1:{ports.api}"
api_ca_file = "api-ca.pem"
objects_ca_file = "objects-ca.pem"
token_file = "token"
codec_ring = "codec-steps.json"
engine_address = "127.0.0.1:{ports.engine}"
steps_namespace = "{STEPS_NAMESPACE}"
node_path = {json.dumps(node)}
search_path = {json.dumps(_search_path(node))}
bootstrap_path = {json.dumps(str(STEPS / "bootstrap.cjs"))}
"""
