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


def chosen_name(given: str | None, *, environment: Mapping[str, str] = os.environ) -> str:
    """The name of the profile to use: as given, else ``WAYBILL_PROFILE``, else the file's default."""
    return given or environment.get("WAYBILL_PROFILE") or str(_read(config_path(environment)).get("default", "default"))


def find_profile(name: str, *, environment: Mapping[str, str] = os.environ) -> Profile | None:
    """The stored profile of this name, whether or not somebody is signed in with it."""
    profiles = _read(config_path(environment)).get("profiles", {})
    found = profiles.get(name) if isinstance(profiles, dict) else None
    if not isinstance(found, dict):
        return None
    return Profile(name=name, url=found.get("url", ""), token=found.get("token", ""), space=found.get("space"), ca=found.get("ca"))


def load_profile(
    *, name: str | None, url: str | None, space: str | None, ca: str | None, environment: Mapping[str, str] = os.environ
) -> Profile:
    """The profile to use now.

    Raises:
        PolicyError: authn.required when no site is known, or nobody has signed in there.
    """
    wanted = chosen_name(name, environment=environment)
    stored = find_profile(wanted, environment=environment)
    token = stored.token if stored else ""
    if token_file := environment.get("WAYBILL_TOKEN_FILE"):
        token = _token_in(Path(token_file))
    address = url or environment.get("WAYBILL_URL") or (stored.url if stored else "")
    if not address or not token:
        raise PolicyError("authn.required", "nobody has signed in; run: waybill login URL --username NAME", field="profile", found=wanted)
    return Profile(
        name=wanted,
        url=address.rstrip("/"),
        token=token,
        space=space or environment.get("WAYBILL_SPACE") or (stored.space if stored else None),
        ca=ca or environment.get("WAYBILL_CA") or (stored.ca if stored else None),
    )


def save_profile(profile: Profile, *, make_default: bool = True, environment: Mapping[str, str] = os.environ) -> Path:
    """The profile stored, and made the default unless told otherwise; the file is readable by its owner only, and never half written."""
    path = config_path(environment)
    stored = _read(path)
    profiles = stored.get("profiles", {})
    profiles = dict(profiles) if isinstance(profiles, dict) else {}
    entry = {"url": profile.url, "token": profile.token, "space": profile.space, "ca": profile.ca}
    profiles[profile.name] = {key: value for key, value in entry.items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(_render(profile.name if make_default else str(stored.get("default", profile.name)), profiles))
    partial.replace(path)
    return path


def forget_profile(name: str, *, environment: Mapping[str, str] = os.environ) -> None:
    """The profile's token is gone from the file; its address and Space stay for the next sign-in."""
    if known := find_profile(name, environment=environment):
        save_profile(replace(known, token=""), make_default=False, environment=environment)


def _read(path: Path) -> dict[str, object]:
    try:
        if not path.exists():
            return {}
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError("settings.invalid", f"{path} is not TOML: {error}", field=str(path)) from error
    except OSError as error:
        raise PolicyError("settings.invalid", f"{path} cannot be read: {error.strerror}", field=str(path)) from error


def _token_in(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError("settings.invalid", f"the token file {path} cannot be read", field="WAYBILL_TOKEN_FILE") from error


def _render(default: str, profiles: Mapping[str, Mapping[str, str]]) -> str:
    lines = [f"default = {json.dumps(default, ensure_ascii=False)}"]
    for name, entry in profiles.items():
        lines += ["", f"[profiles.{json.dumps(name, ensure_ascii=False)}]"]
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items()]
    return "\n".join(lines) + "\n"
