# SPDX-License-Identifier: Apache-2.0
"""Exit codes: what a script may rely on."""

import re

import pytest

from cli.__main__ import MORE
from cli.exits import MEANINGS, Exit, exit_of
from waybill.errors import CODES

TABLE = [
    ("cli.unreachable", 503, Exit.FAILURE),
    ("internal.error", 500, Exit.FAILURE),
    ("store.unavailable", 503, Exit.FAILURE),
    ("transfer.interrupted", 503, Exit.FAILURE),
    ("a.code_that_this_version_does_not_know", None, Exit.FAILURE),
    ("cli.usage", 422, Exit.USAGE),
    ("request.invalid", 422, Exit.USAGE),
    ("request.malformed", 400, Exit.USAGE),
    ("cursor.invalid", 400, Exit.USAGE),
    ("package.coordinate_invalid", 400, Exit.USAGE),
    ("authn.required", 401, Exit.CONFIGURATION),
    ("authn.invalid", 401, Exit.CONFIGURATION),
    ("authn.throttled", 429, Exit.CONFIGURATION),
    ("settings.invalid", 422, Exit.CONFIGURATION),
    ("record.absent", 404, Exit.NOT_FOUND),
    ("authz.denied", 403, Exit.REFUSED),
    ("lifecycle.forbidden", 409, Exit.REFUSED),
    ("deployment.blocked", 409, Exit.REFUSED),
    ("record.conflict", 409, Exit.REFUSED),
    ("record.stale", 412, Exit.REFUSED),
    ("process.unsupported", 422, Exit.REFUSED),
    ("bundle.changed", 409, Exit.REFUSED),
    ("trust.unconfirmed", 403, Exit.REFUSED),
    ("signature.untrusted", 403, Exit.VERIFICATION),
    ("signature.invalid", 403, Exit.VERIFICATION),
    ("envelope.malformed", 400, Exit.VERIFICATION),
    ("payload.invalid", 400, Exit.VERIFICATION),
    ("carrier.truncated", 400, Exit.VERIFICATION),
    ("package.hash_mismatch", 409, Exit.VERIFICATION),
    ("package.size_exceeded", 409, Exit.VERIFICATION),
    ("trust.unknown", 403, Exit.VERIFICATION),
    ("trust.fingerprint_mismatch", 403, Exit.VERIFICATION),
    ("bundle.digest_mismatch", 403, Exit.VERIFICATION),
    ("secret.decrypt_failed", 403, Exit.VERIFICATION),
    ("audit.chain_broken", 403, Exit.VERIFICATION),
    ("delta.base_mismatch", 400, Exit.VERIFICATION),
    ("delta.malformed", 400, Exit.VERIFICATION),
    ("delta.encoder_unavailable", 400, Exit.FAILURE),
]


@pytest.mark.parametrize(("code", "status", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_which_error_leads_to_which_exit(code: str, status: int | None, expected: Exit) -> None:
    """The code decides first, the HTTP status after it."""
    assert exit_of(code, status) == expected


@pytest.mark.parametrize("code", sorted(CODES))
def test_no_error_ends_as_success(code: str) -> None:
    """Each code of the table has an exit that is not 0, and none that only following gives."""
    assert exit_of(code, CODES[code].http_status) not in {Exit.OK, Exit.TIMED_OUT, Exit.UNSUCCESSFUL, Exit.INTERRUPTED}


def test_the_help_names_each() -> None:
    """``waybill --help`` and the reference list exactly the codes that exist."""
    assert [int(number) for number in re.findall(r"\b(\d+) [a-z]", MORE)] == [int(code) for code in Exit]
    assert list(MEANINGS) == list(Exit)
