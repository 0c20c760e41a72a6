# SPDX-License-Identifier: Apache-2.0
"""One run of a step as it crosses between the API and a machine: the order that a machine claims, the lines and the outcome that it returns.

``StepOrder`` holds secrets in clear (``inputs``, ``variables``, ``masks``): it exists in memory and under TLS only, never in a workflow
payload, a log, a file or a database. ``repr`` shows none of them.
The JSON forms here are the bodies of ``/api/v1/machine/runs/{run}/claim`` and ``…/outcome``; unknown members are refused.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from waybill.domain.deployments import FINISHED_RUNS, RunState
from waybill.domain.ids import JsonValue
from waybill.errors import CODES, FormatError

STEP_LEVELS: Final = ("verbose", "info", "highlight", "wait", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPackage:
    """A package that the step may read. ``ref_name`` is how its inputs name it; ``url`` grants one short-lived GET of exactly these bytes."""

    ref_name: str
    id: str
    version: str
    sha256: str
    size: int
    url: str = field(repr=False)
    filename: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOrder:
    """Everything that a machine needs to run one attempt of one action, bindings resolved.

    ``package_*`` name the step package (zip). ``masks`` are the secrets that must never leave the machine's memory in any form.
    ``deployment`` holds facts for people and scripts (project, release, environment, tenant, action), no secret.
    ``variables`` are further name/value pairs that scripts may ask for; ``ca_pem`` is the certificate authority of every URL here.
    """

    run_id: str
    package_url: str = field(repr=False)
    package_sha256: str
    package_size: int
    package_id: str
    package_version: str
    inputs: dict[str, JsonValue] = field(repr=False)
    masks: tuple[str, ...] = field(default=(), repr=False)
    packages: tuple[OrderPackage, ...] = ()
    deployment: dict[str, JsonValue] = field(default_factory=dict)
    timeout_s: int = 1800
    attempt: int = 1
    idempotency_key: str = ""
    ca_pem: str | None = None
    variables: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """One masked line of a step's log. ``level`` is one of ``STEP_LEVELS``; ``stream`` is ``stdout``, ``stderr`` or None for the step's own words."""

    level: str
    message: str
    occurred_at: datetime
    stream: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """How a run ended; made by the machine, masked. ``code`` is a key of ``CODES`` and is set unless it succeeded.

    Secret outputs stay on the machine and are only named.
    """

    state: RunState
    code: str | None = None
    message: str | None = None
    outputs: dict[str, JsonValue] = field(default_factory=dict)
    secret_output_names: tuple[str, ...] = ()


def order_to_json(order: StepOrder) -> dict[str, JsonValue]:
    """The claim's answer as a JSON object; ``order_from_json`` reads it back equal."""
    packages: list[JsonValue] = [
        {
            "ref_name": each.ref_name,
            "id": each.id,
            "version": each.version,
            "sha256": each.sha256,
            "size": each.size,
            "url": each.url,
            "filename": each.filename,
        }
        for each in order.packages
    ]
    return {
        "run_id": order.run_id,
        "package_url": order.package_url,
        "package_sha256": order.package_sha256,
        "package_size": order.package_size,
        "package_id": order.package_id,
        "package_version": order.package_version,
        "inputs": order.inputs,
        "masks": list(order.masks),
        "packages": packages,
        "deployment": order.deployment,
        "timeout_s": order.timeout_s,
        "attempt": order.attempt,
        "idempotency_key": order.idempotency_key,
        "ca_pem": order.ca_pem,
        "variables": dict(order.variables),
    }


def order_from_json(value: JsonValue) -> StepOrder:
    """The order that a claim answered.

    Raises:
        FormatError: request.malformed, when a member is missing, of another type or unknown; the value is not repeated in the error.
    """
    read = _Members(value, "")
    order = StepOrder(
        run_id=read.text("run_id"),
        package_url=read.text("package_url"),
        package_sha256=read.text("package_sha256"),
        package_size=read.number("package_size"),
        package_id=read.text("package_id"),
        package_version=read.text("package_version"),
        inputs=read.object("inputs"),
        masks=read.texts("masks"),
        packages=tuple(_package(each, f"/packages/{at}") for at, each in enumerate(read.array("packages"))),
        deployment=read.object("deployment"),
        timeout_s=read.number("timeout_s"),
        attempt=read.number("attempt"),
        idempotency_key=read.text("idempotency_key"),
        ca_pem=read.optional_text("ca_pem"),
        variables=read.text_map("variables"),
    )
    read.end()
    return order


def outcome_to_json(outcome: StepOutcome) -> dict[str, JsonValue]:
    """The outcome as the body that a machine posts; ``outcome_from_json`` reads it back equal."""
    return {
        "state": outcome.state.value,
        "code": outcome.code,
        "message": outcome.message,
        "outputs": outcome.outputs,
        "secret_output_names": list(outcome.secret_output_names),
    }


def outcome_from_json(value: JsonValue) -> StepOutcome:
    """The outcome that a machine posted.

    Raises:
        FormatError: request.malformed, when a member is missing, of another type or unknown, the state is not a final one,
            or the code is unknown or does not fit the state.
    """
    read = _Members(value, "")
    state, code = read.text("state"), read.optional_text("code")
    if state not in {each.value for each in FINISHED_RUNS - {RunState.SKIPPED}}:
        raise read.wrong("state", "succeeded, failed, errored or cancelled")
    if (code is None) != (state == RunState.SUCCEEDED.value) or (code is not None and code not in CODES):
        raise read.wrong("code", "a known code, and none when it succeeded")
    outcome = StepOutcome(
        state=RunState(state),
        code=code,
        message=read.optional_text("message"),
        outputs=read.object("outputs"),
        secret_output_names=read.texts("secret_output_names"),
    )
    read.end()
    return outcome


def _package(value: JsonValue, pointer: str) -> OrderPackage:
    read = _Members(value, pointer)
    package = OrderPackage(
        ref_name=read.text("ref_name"),
        id=read.text("id"),
        version=read.text("version"),
        sha256=read.text("sha256"),
        size=read.number("size"),
        url=read.text("url"),
        filename=read.text("filename"),
    )
    read.end()
    return package


class _Members:
    """Reads the members of one object, each once, and refuses what is left over. Values never reach an error text: they may be secret."""

    def __init__(self, value: JsonValue, pointer: str) -> None:
        if not isinstance(value, dict):
            raise FormatError("request.malformed", "an object was expected", field=pointer or "/", expected="an object")
        self._left = dict(value)
        self._pointer = pointer

    def wrong(self, name: str, expected: str) -> FormatError:
        return FormatError("request.malformed", f"{name} is missing or wrong", field=f"{self._pointer}/{name}", expected=expected)

    def _take(self, name: str) -> JsonValue:
        if name not in self._left:
            raise self.wrong(name, "a member of that name")
        return self._left.pop(name)

    def text(self, name: str) -> str:
        found = self._take(name)
        if not isinstance(found, str):
            raise self.wrong(name, "text")
        return found

    def optional_text(self, name: str) -> str | None:
        found = self._take(name)
        if found is not None and not isinstance(found, str):
            raise self.wrong(name, "text or null")
        return found

    def number(self, name: str) -> int:
        found = self._take(name)
        if not isinstance(found, int) or isinstance(found, bool) or found < 0:
            raise self.wrong(name, "a whole number from 0")
        return found

    def array(self, name: str) -> list[JsonValue]:
        found = self._take(name)
        if not isinstance(found, list):
            raise self.wrong(name, "a list")
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        found = self.array(name)
        texts = tuple(each for each in found if isinstance(each, str))
        if len(texts) != len(found):
            raise self.wrong(name, "a list of texts")
        return texts

    def object(self, name: str) -> dict[str, JsonValue]:
        found = self._take(name)
        if not isinstance(found, dict):
            raise self.wrong(name, "an object")
        return found

    def text_map(self, name: str) -> dict[str, str]:
        found = self.object(name)
        texts = {key: each for key, each in found.items() if isinstance(each, str)}
        if len(texts) != len(found):
            raise self.wrong(name, "an object of texts")
        return texts

    def end(self) -> None:
        if self._left:
            raise FormatError("request.malformed", "an unknown member", field=f"{self._pointer}/{min(self._left)[:60]}")
