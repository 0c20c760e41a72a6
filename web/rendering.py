# SPDX-License-Identifier: Apache-2.0
"""Templates, and the one way from a view to an HTML answer.

Everything is escaped; nothing is loaded from another host; scripts come from our own files only.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

HOME: Final = Path(__file__).parent
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

# Each state as people see it: a word, a mark that does not depend on colour, and a tone of the style sheet.
STATES: Final = {
    "succeeded": ("succeeded", "✓", "good"), "completed": ("completed", "✓", "good"), "imported": ("imported", "✓", "good"),
    "deployed": ("deployed", "✓", "good"), "active": ("active", "✓", "good"), "ready": ("ready", "◆", "ask"), "waiting": ("waiting", "◆", "ask"),
    "pending": ("pending", "◆", "ask"), "waiting_packages": ("waiting for packages", "…", "busy"), "running": ("running", "▸", "busy"),
    "deploying": ("deploying", "▸", "busy"), "importing": ("importing", "▸", "busy"), "in_transit": ("in transit", "▸", "busy"),
    "queued": ("queued", "…", "busy"), "sealed": ("sealed", "…", "busy"), "received": ("received", "…", "busy"), "started": ("running", "▸", "busy"),
    "failed": ("failed", "✕", "bad"), "errored": ("errored", "✕", "bad"), "refused": ("refused", "✕", "bad"), "rejected": ("rejected", "✕", "bad"),
    "cancelled": ("cancelled", "–", "quiet"), "skipped": ("skipped", "–", "quiet"), "retired": ("retired", "–", "quiet"), "unknown": ("unknown", "?", "quiet"),
}  # fmt: skip


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """The page; ``values`` must hold everything that the template names."""
    signed_in = getattr(request.state, "signed_in", None)
    viewer = signed_in.caller.name if signed_in is not None else None
    body = _TEMPLATES.get_template(template).render(request=request, viewer=viewer, **values)
    return HTMLResponse(body, status_code=status, headers=SECURITY_HEADERS)


def _time(value: datetime | str | None) -> str:
    """UTC to the second; the page's script shows it relative, with this text on hover."""
    if value is None:
        return "–"
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _iso(value: datetime | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else value.astimezone(UTC).isoformat()


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""


def _state(value: Any) -> tuple[str, str, str]:
    text = str(getattr(value, "value", value))
    return STATES.get(text, (text.replace("_", " "), "·", "quiet"))


def _make_templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(HOME / "templates"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(time=_time, iso=_iso, size=_size, state=_state)
    return templates


_TEMPLATES: Final = _make_templates()
