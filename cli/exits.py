# SPDX-License-Identifier: Apache-2.0
"""Exit codes, and which error code leads to which."""

from enum import IntEnum

from waybill.errors import WaybillError


class Exit(IntEnum):
    """What a script may rely on; the same list stands in ``waybill --help`` and docs/reference/cli.md."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CONFIGURATION = 3
    NOT_FOUND = 4
    REFUSED = 5
    VERIFICATION = 6
    TIMED_OUT = 7
    UNSUCCESSFUL = 8
    INTERRUPTED = 130


MEANINGS = {
    Exit.OK: "done",
    Exit.FAILURE: "failure: the site does not answer, or something broke",
    Exit.USAGE: "usage: the command or a value in it is wrong",
    Exit.CONFIGURATION: "configuration or sign-in",
    Exit.NOT_FOUND: "not found",
    Exit.REFUSED: "refused: right, lifecycle, block, conflict",
    Exit.VERIFICATION: "verification failed: signature, hash, trust, damaged file",
    Exit.TIMED_OUT: "waited too long; what was started goes on",
    Exit.UNSUCCESSFUL: "ended unsuccessfully, or waits for somebody's decision about a fault",
    Exit.INTERRUPTED: "interrupted; what was started goes on",
}

_VERIFICATION_AREAS = {"signature", "envelope", "payload", "carrier", "attachment", "secret", "suite"}
_USAGE_AREAS = {"request", "cursor"}
_USAGE_CODES = {"cli.usage", "package.coordinate_invalid", "package.digest_unsupported"}
_VERIFICATION_CODES = {
    "package.hash_mismatch",
    "package.size_exceeded",
    "bundle.digest_mismatch",
    "bundle.wrong_recipient",
    "bundle.source_mismatch",
    "bundle.expired",
    "delta.malformed",
    "delta.base_mismatch",
    "delta.result_mismatch",
    "delta.output_exceeded",
    "delta.expansion_exceeded",
    "trust.unknown",
    "trust.key_weak",
    "trust.key_expired",
    "trust.key_revoked",
    "trust.certificate_profile",
    "trust.identity_invalid",
    "trust.fingerprint_mismatch",
    "audit.chain_broken",
}


def exit_of(code: str, http_status: int | None) -> Exit:
    """The exit code for an error ``code``; ``http_status`` of the answer where there was one."""
    area = code.split(".", 1)[0]
    if area in _VERIFICATION_AREAS or code in _VERIFICATION_CODES:
        return Exit.VERIFICATION
    if area in _USAGE_AREAS or code in _USAGE_CODES:
        return Exit.USAGE
    if area in {"authn", "settings"}:
        return Exit.CONFIGURATION
    if http_status == 404:
        return Exit.NOT_FOUND
    if http_status in {403, 409, 412, 422, 428}:
        return Exit.REFUSED
    return Exit.FAILURE


class ExitError(Exception):
    """A command that knows better than the table how it ends: ``error`` is explained, and ``code`` is the exit."""

    def __init__(self, error: WaybillError, code: Exit) -> None:
        super().__init__(error.message)
        self.error = error
        self.code = code
