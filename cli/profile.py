# SPDX-License-Identifier: Apache-2.0
"""Where the command line keeps who you are: one TOML file, readable by its owner only.

Order: flags, then ``WAYBILL_URL``, ``WAYBILL_TOKEN_FILE``, ``WAYBILL_SPACE``, ``WAYBILL_CA``, ``WAYBILL_PROFILE``, then the file.
It refuses a token as a flag: a token in a command line can be read by every process of the machine.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from waybill.errors import PolicyError


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One site as one person uses it. ``ca`` is the path of the authority (PEM) that the site's TLS must come from."""

    name: str
    url: str
    token: str
    space: str | None = None
    ca: str | None = None


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    """``$WAYBILL_CONFIG``, else ``waybill/config.toml`` in the user's configuration directory."""
    if explicit := environment.get("WAYBILL_CONFIG"):
        return Path(explicit)
    base = environment.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "waybill" / "config.toml"


def load_profile(
    *, name: str | None, url: str | None, space: str | None, ca: str | None, environment: Mapping[str, str] = os.environ
) -> Profile:
    """The profile to use now.

    Raises:
        PolicyError: authn.required when no site is known, or nobody has signed in there.
    """
    stored = _read(config_path(environment))
    wanted = name or environment.get("WAYBILL_PROFILE") or str(stored.get("default", "default"))
    profiles = stored.get("profiles", {})
    found = profiles.get(wanted, {}) if isinstance(profiles, dict) else {}
    token = found.get("token", "")
    if token_file := environment.get("WAYBILL_TOKEN_FILE"):
        token = Path(token_file).read_text().strip()
    address = url or environment.get("WAYBILL_URL") or found.get("url")
    if not address or not token:
        raise PolicyError("authn.required", "nobody has signed in; run: waybill login URL --username NAME", field="profile", found=wanted)
    return Profile(
        name=wanted,
        url=str(address).rstrip("/"),
        token=str(token),
        space=space or environment.get("WAYBILL_SPACE") or found.get("space"),
        ca=ca or environment.get("WAYBILL_CA") or found.get("ca"),
    )


def save_profile(profile: Profile, *, environment: Mapping[str, str] = os.environ) -> Path:
    """The profile stored and made the default; the file is readable by its owner only, and never half written."""
    path = config_path(environment)
    stored = _read(path)
    profiles = stored.get("profiles", {})
    profiles = dict(profiles) if isinstance(profiles, dict) else {}
    entry = {"url": profile.url, "token": profile.token, "space": profile.space, "ca": profile.ca}
    profiles[profile.name] = {key: value for key, value in entry.items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(_render(profile.name, profiles))
    partial.replace(path)
    return path


def forget_profile(name: str, *, environment: Mapping[str, str] = os.environ) -> None:
    """The profile's token is gone from the file."""
    path = config_path(environment)
    stored = _read(path)
    profiles = stored.get("profiles", {})
    if isinstance(profiles, dict) and name in profiles:
        known = profiles[name]
        save_profile(
            Profile(name=name, url=known.get("url", ""), token="", space=known.get("space"), ca=known.get("ca")), environment=environment
        )


def with_space(profile: Profile, space: str) -> Profile:
    """The same profile, in another Space by default."""
    return replace(profile, space=space)


def _read(path: Path) -> dict[str, object]:
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise PolicyError("settings.invalid", f"{path} is not TOML: {error}", field=str(path)) from error


def _render(default: str, profiles: Mapping[str, Mapping[str, str]]) -> str:
    lines = [f"default = {json.dumps(default)}"]
    for name, entry in profiles.items():
        lines += ["", f"[profiles.{json.dumps(name)}]", *(f"{key} = {json.dumps(value)}" for key, value in entry.items())]
    return "\n".join(lines) + "\n"
