# SPDX-License-Identifier: Apache-2.0
"""Structured logging of every process: one JSON object a line on standard error, secrets taken out.

Events are dotted and in the past tense (``bundle.verified``); facts are keys.
Payloads, keys and secret values are never logged; the redaction here is the net below that rule, not the rule.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog

_SECRET_NAME: Final = re.compile(
    r"(?i)password|passwd|secret(?!s?_?name)|token|authorization|cookie|private|credential|api_?key|signature$"
)
_SECRET_TEXT: Final = (
    re.compile(r"(?i)\bbearer\s+[\w.~+/=-]+"),
    re.compile(r"\bwaybill_[\w-]{43}_[0-9a-f]{8}\b"),
    re.compile(r"\bwbm_[\w-]+"),
    re.compile(r"(?i)(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s\"']+"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----"),
)
MASK: Final = "********"


def redact_text(text: str) -> str:
    """``text`` with everything that looks like a credential masked."""
    for pattern in _SECRET_TEXT:
        text = pattern.sub(lambda match: (match.group(1) if match.lastindex else "") + MASK, text)
    return text


def redact(value: object, *, name: str = "") -> object:
    """``value`` with secrets masked, by the name of the key and by the look of the text."""
    if name and _SECRET_NAME.search(name) and isinstance(value, str | bytes):
        return MASK
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {key: redact(item, name=str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value


def _redaction(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in list(event):
        event[key] = redact(event[key], name=key)
    return event


class RedactionFilter(logging.Filter):
    """Masks the rendered message and the exception of records of strangers' loggers, Temporal's among them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """True always; the record is changed in place."""
        if isinstance(record.msg, dict):  # one of ours: its fields are masked when they are rendered
            return True
        record.msg, record.args = redact_text(record.getMessage()), None
        if record.exc_info and record.exc_info[1] is not None:
            # The text of a stranger's exception may quote what it was given; its type is enough here.
            record.msg = f"{record.msg} ({type(record.exc_info[1]).__name__})"
            record.exc_info, record.exc_text = None, None
        return True


def configure(*, role: str, site: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Logging is set for this process. Called once, by a composition root.

    Args:
        role: ``control``, ``transfer``, ``steps``, ``api`` …, on every line.
        site: the name of the site or machine, on every line.
        level: ``debug | info | warning | error``; strangers' libraries speak from ``warning`` on.
    """
    threshold = getattr(logging, level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(RedactionFilter())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _redaction,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.getLogger("waybill").setLevel(threshold)
    structlog.contextvars.bind_contextvars(role=role, site=site)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger below ``waybill``; ``configure`` decides where it goes."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(f"waybill.{name}")
    return logger
