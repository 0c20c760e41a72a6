# SPDX-License-Identifier: Apache-2.0
"""The one tree of errors, and the one table of their codes.

WaybillError
  FormatError       the bytes are wrong                     sender can fix it
  TrustError        the bytes are unacceptable              owner of the trust
  PolicyError       not allowed                             approver
  ConflictError     somebody was first                      caller, after reading again
  NotFoundError     absent, or not yours to see             caller
  UnavailableError  try later (retryable)                   operator
  StepError         failed (the step said no) | errored     process owner

A code has the form ``area.reason``.
It travels unchanged: activity error type, problem document, receipt reason, text on a page.
A programmer's mistake is never one of these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeEntry:
    """What one code means, for people: ``title`` in plain words, ``remedy`` as the next action."""

    title: str
    remedy: str
    http_status: int


class WaybillError(Exception):
    """Something that the sender, an approver, a caller or an operator can act upon.

    Args:
        code: a key of ``CODES``.
        message: one sentence for people; never a secret, never a key.
        field: the field or file that is wrong, as a JSON pointer or a name.
        expected: what would have been right.
        found: what was there.
    """

    retryable: bool = False

    def __init__(self, code: str, message: str, *, field: str | None = None, expected: object = None, found: object = None) -> None:
        if code not in CODES:
            raise KeyError(f"{code} is not in waybill.errors.CODES")
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.expected = None if expected is None else str(expected)
        self.found = None if found is None else str(found)

    def __str__(self) -> str:
        parts = [self.message]
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        if self.found is not None:
            parts.append(f"found {self.found}")
        return f"{self.code}: " + "; ".join(parts)


class FormatError(WaybillError):
    """The bytes are wrong; the sender must send others."""


class TrustError(WaybillError):
    """The bytes are well formed, but this Space must not accept them."""


class PolicyError(WaybillError):
    """A rule of this Space forbids it; an approver or an administrator can change that."""


class ConflictError(WaybillError):
    """Somebody was first; read again and decide again."""


class NotFoundError(WaybillError):
    """It does not exist, or the caller may not know that it does."""


class UnavailableError(WaybillError):
    """Something outside did not answer; the same call may succeed later."""

    retryable = True


class StepError(WaybillError):
    """A step did not succeed: it failed (said no) or errored (a technical fault)."""


def _entries(status: int, rows: Mapping[str, tuple[str, str]]) -> dict[str, CodeEntry]:
    return {code: CodeEntry(title=title, remedy=remedy, http_status=status) for code, (title, remedy) in rows.items()}


_SEND_AGAIN = "Ask the sender for a fresh copy; compare the SHA-256 before you carry it."
_CHECK_TRUST = "Compare the fingerprints with the other side, then correct the trust."

CODES: Final[dict[str, CodeEntry]] = {
    # bytes
    **_entries(
        400,
        {
            "envelope.malformed": ("The envelope cannot be read", _SEND_AGAIN),
            "envelope.type_unexpected": ("A document of another kind was expected here", "Send the document to the place for its kind."),
            "payload.not_strict_json": ("The document is not strict JSON", _SEND_AGAIN),
            "payload.invalid": ("A field of the document is missing or wrong", "The sender must correct the named field."),
            "payload.undecodable": ("A stored engine payload does not open here", "Use the key ring of the namespace that wrote it."),
            "bundle.schema_unsupported": ("The schema version is not supported", "Upgrade the side with the lower version."),
            "limit.exceeded": ("A size or count is over its limit", "Send less; the limit is named."),
            "carrier.malformed": ("The carrier file cannot be read", _SEND_AGAIN),
            "carrier.truncated": ("The carrier file is incomplete", _SEND_AGAIN),
            "carrier.member_unexpected": ("The carrier holds something that its index does not name", _SEND_AGAIN),
            "carrier.member_forbidden": ("The carrier holds an entry of a forbidden kind", _SEND_AGAIN),
            "carrier.volume_missing": ("A part of the carrier is missing", "Bring the named part."),
            "delta.malformed": ("The delta cannot be read", "Ask for the whole package, or make the delta again."),
            "delta.unsupported": (
                "The delta needs something that this version does not know",
                "Upgrade this side, or ask for the whole package.",
            ),
            "delta.base_mismatch": ("The delta was made for another base", "Give exactly the file against which the delta was made."),
            "delta.result_mismatch": (
                "The rebuilt file is not the one that the delta names",
                "Ask for the whole package and report the delta's digest.",
            ),
            "delta.output_exceeded": ("The delta makes more bytes than it announced", "Ask for the whole package."),
            "delta.expansion_exceeded": ("The delta expands beyond every bound", "Ask for the whole package."),
            "delta.encoder_unavailable": (
                "The delta needs an encoder that does not run here",
                "Ask for the whole package, or install the named encoder.",
            ),
            "package.coordinate_invalid": ("The package id or version is not allowed", "Use the name under which its ecosystem knows it."),
            "package.digest_unsupported": ("Only SHA-256 digests are accepted", "Give the SHA-256 in lower-case hexadecimal."),
            "step.package_invalid": ("The step package is not valid", "Build the package again with its own tool."),
            "step.protocol_invalid": ("The step process broke the frame protocol", "Report it to the author of the step package."),
            "request.malformed": ("The request cannot be read", "Correct the named field."),
            "cursor.invalid": ("The cursor does not belong to this list", "Start again from the first page."),
        },
    ),
    **_entries(
        422,
        {
            "request.invalid": ("A value in the request is not allowed", "Correct the named field."),
            "process.unsupported": ("This installation cannot execute that yet", "Remove the named setting from the process."),
            "process.invalid": ("The process is contradictory or incomplete", "Correct the named action."),
            "lifecycle.invalid": ("The lifecycle is contradictory or incomplete", "Correct the named phase."),
            "variable.invalid": ("The variable is contradictory or of the wrong type", "Correct the named variable."),
            "variable.tie": ("Two values apply equally well", "Make one scope more specific."),
            "template.value_invalid": ("The value does not fit the template's type", "Give a value of the named type."),
            "bundle.incomplete": ("The release refers to something that is neither in it nor beside it", "Add or pin what is named."),
            "bundle.secret_in_clear": ("A secret would have travelled in clear", "Mark the named variable as sensitive."),
            "idempotency.key_reused": ("This Idempotency-Key was used for another request", "Use a new key for a new request."),
            "settings.invalid": ("The settings contradict each other or are incomplete", "Correct the named setting."),
            "cli.usage": ("The command is incomplete", "See the command's --help."),
        },
    ),
    # trust
    **_entries(
        403,
        {
            "signature.missing": ("The document is not signed", _SEND_AGAIN),
            "signature.untrusted": ("No trusted key made this signature", _CHECK_TRUST),
            "signature.invalid": ("The signature does not fit the bytes", _SEND_AGAIN),
            "signature.threshold_not_met": ("Too few different keys have signed", "Obtain the missing signatures."),
            "bundle.source_mismatch": ("The sender named in the document does not own the key", _CHECK_TRUST),
            "bundle.wrong_recipient": ("The document is meant for another Space", "Send it to the Space that it names."),
            "bundle.expired": ("The bundle is past its expiry", "Promote the release again."),
            "bundle.from_future": ("The document is dated in the future", "Correct the clocks of both sites."),
            "bundle.loop": ("This Space already stands in the custody chain", "Promote to another Space."),
            "bundle.digest_mismatch": ("The release is not the one that the delivery names", _SEND_AGAIN),
            "attachment.hash_mismatch": ("An attachment is not the one that was signed", _SEND_AGAIN),
            "trust.unknown": ("There is no trust with this Space", "Register its identity as a Remote Space first."),
            "trust.unconfirmed": (
                "The trust waits for its fingerprint to be confirmed",
                "Compare the fingerprint by voice, then confirm it.",
            ),
            "trust.direction_denied": ("The trust does not grant this direction or project", "Change the grants of the trust."),
            "trust.relay_denied": ("The sender may not relay for the owner of this release", "Grant relay, or trust the owner directly."),
            "trust.retired": ("The trust has been ended", "Register the Space again."),
            "trust.key_weak": ("The key is one that anybody can forge for", "The other Space must make new keys."),
            "trust.key_expired": ("The key is past its validity", "Import the current identity of the other Space."),
            "trust.key_revoked": ("The key has been revoked", "Import the current identity of the other Space."),
            "trust.certificate_profile": (
                "The certificate does not have the required form",
                "Export the identity again on the other side.",
            ),
            "trust.identity_invalid": ("The identity document contradicts itself", "Export the identity again on the other side."),
            "trust.identity_stale": ("The identity document is not the next version", "Import the versions in their order."),
            "trust.rotation_unauthorised": ("The new identity is not signed by the old one", "Make a new trust by hand on both sides."),
            "trust.fingerprint_mismatch": ("The fingerprint is not that of the identity", "Do not trust this file; ask the other side."),
            "suite.not_allowed": ("No cipher suite is allowed on both sides", "Change the local minimum or the remote identity."),
            "clock.regressed": ("The clock of this site went backwards", "Correct the clock."),
            "secret.decrypt_failed": ("A sealed value does not open", "Promote the release again."),
            "receipt.unknown_bundle": (
                "The receipt names nothing that was sent to that Space",
                "Ask the other side which bundle it means.",
            ),
            "peer.request_stale": ("The peer's request is too old or was already used", "Correct the clocks, then try again."),
            "audit.chain_broken": ("The audit log was changed", "Restore the database and ask the peers for their checkpoints."),
            "endpoint.forbidden": ("That address may not be called", "Correct the endpoint or the site's outbound setting."),
            "endpoint.redirected": ("The other side answered with a redirect", "Give the final address."),
        },
    ),
    # policy
    **_entries(
        403,
        {
            "authz.denied": ("You may not do that", "Ask for the named permission."),
            "authz.four_eyes": ("The same person may not do both", "Ask a colleague."),
            "authn.origin": ("The request came from another site", "Use the pages of this site."),
            "outbound.denied": ("This site opens no connection to any peer", "Use pull or a carrier file, or change outbound_peers."),
        },
    ),
    **_entries(
        401,
        {
            "authn.required": ("Sign in first", "Sign in, or send an API key."),
            "authn.invalid": ("The credentials are not valid", "Check them, or ask for new ones."),
        },
    ),
    **_entries(429, {"authn.throttled": ("Too many attempts", "Wait, then try again.")}),
    **_entries(
        409,
        {
            "lifecycle.forbidden": ("The lifecycle does not allow this yet", "Complete the named phase first."),
            "lifecycle.needed": ("The project has no lifecycle yet", "Choose one of this Space's lifecycles."),
            "deployment.blocked": ("Something that the deployment needs is missing", "Provide what is listed."),
            "deployment.not_waiting": ("The deployment does not wait for this decision", "Read its state again."),
            "variable.missing": ("A mandatory value is missing", "Give the named values."),
            "package.missing": ("A package is not here", "Replicate or bring the named package."),
            "machine.none": ("No registered machine can run this", "Register a machine for the environment and role."),
            "record.conflict": ("It exists already", "Choose another name, or change what exists."),
            "record.in_use": ("It is still in use", "Remove the named uses first."),
            "record.read_only": ("It belongs to another Space", "Change it where it is owned."),
            "bundle.conflict": ("The same id came before with other bytes", "Tell the owner of the trust."),
            "bundle.stale": ("An older statement than one already accepted", "Promote again."),
            "bundle.not_ready": ("The bundle cannot be imported yet", "See what it waits for."),
            "bundle.rejected": ("A person of the target Space rejected the bundle", "Ask the target Space for the reason."),
            "bundle.decided": ("The bundle has been decided already", "See the decision."),
            "bundle.changed": ("What you approved is not what is here now", "Read the preview again."),
            "receipt.conflict": ("The same receipt number came before with other bytes", "Tell the owner of the trust."),
            "package.conflict": ("This id and version exist with other bytes", "Publish under a new version."),
            "release.conflict": ("This version exists with other content", "Create a new version."),
            "trust.name_conflict": ("The name is too like another one", "Choose a clearly different name."),
            "trust.exists": ("This Space is registered already", "Use the existing trust."),
            "idempotency.in_progress": ("The first request with this key is still running", "Try again shortly."),
            "task.finished": ("The task has ended already", "See its result."),
            "package.hash_mismatch": ("The bytes are not those that the manifest names", "Send the package again."),
            "package.size_exceeded": ("More bytes than the manifest names", "Send the package again."),
            "upload.incomplete": ("Parts of the upload are missing", "Send the named parts."),
            "machine.foreign_run": ("That run belongs to another machine", "Use the machine's own key."),
        },
    ),
    **_entries(412, {"record.stale": ("Somebody changed it since you read it", "Read it again, then repeat your change.")}),
    **_entries(428, {"request.precondition_required": ("Say which version you read", "Send If-Match with the ETag.")}),
    **_entries(404, {"record.absent": ("There is no such thing here", "Check the name and the Space.")}),
    **_entries(413, {"request.too_large": ("The request is too large", "Use an upload.")}),
    **_entries(405, {"request.method_not_allowed": ("That method is not allowed here", "See the API documentation.")}),
    # outside
    **_entries(
        503,
        {
            "delta.tool_failed": (
                "A helper program of the delta engine failed",
                "The whole package is sent instead; see the log of the worker.",
            ),
            "site.unavailable": ("A process of this site did not start", "See the named log."),
            "engine.unavailable": ("The workflow engine does not answer", "Start the Temporal server."),
            "store.unavailable": ("The object store does not answer", "Start the object store."),
            "store.integrity": ("The object store returned other bytes than were written", "Check the object store."),
            "ledger.unavailable": ("The database does not answer", "Start the database."),
            "ledger.revision": ("The database is not at this program's revision", "Run the migration."),
            "keystore.unavailable": (
                "The key file does not open the stored keys",
                "Bring back the key file that belongs to this database.",
            ),
            "peer.unavailable": ("The other site does not answer", "It is tried again by itself."),
            "cli.unreachable": ("The site does not answer the command line", "Check the address, that the site runs, and the network."),
            "peer.refused": ("The other site refused", "See its code."),
            "transfer.too_slow": ("The transfer is too slow", "It is tried again by itself."),
            "transfer.interrupted": ("The transfer broke off", "It goes on from what the store confirmed."),
            "node.unavailable": ("No usable Node runtime was found", "Install the named version of Node."),
        },
    ),
    # steps
    **_entries(
        409,
        {
            "step.failed": ("The step said no", "See its log."),
            "step.errored": ("The step broke", "See its log."),
            "step.interrupted": ("The machine died while the step ran", "Decide whether to run it again."),
            "step.timeout": ("The step took longer than allowed", "Raise its timeout, or see its log."),
            "step.cancelled": ("The step was cancelled", "Deploy again when ready."),
            "step.no_result": ("The step ended without a result", "See its log."),
        },
    ),
    **_entries(500, {"internal.error": ("An error in Waybill itself", "Report it with the trace id.")}),
}
