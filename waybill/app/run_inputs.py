# SPDX-License-Identifier: Apache-2.0
"""What one run gets: inputs with every binding resolved, the secrets among them as masks, URLs for the bytes.

Only secrets that the action's inputs really refer to are opened and handed out; other variables go along in clear, secrets never.
"""

import json
from collections.abc import Sequence

from waybill.app import lookup
from waybill.app.held_values import open_value
from waybill.app.situation import Situation
from waybill.domain.deployments import RunState, StepRun
from waybill.domain.ids import JsonValue
from waybill.domain.packages import StepPackage
from waybill.domain.projects import Action
from waybill.domain.readiness import HeldValue, Place, resolve
from waybill.domain.resolution import expand, expand_in, output_of
from waybill.domain.spaces import Machine
from waybill.domain.steps import OrderPackage, StepOrder
from waybill.errors import ConflictError, FormatError
from waybill.formats.layout import blob_key
from waybill.formats.release import ReleasePackage, ReleaseStepPackage
from waybill.ports import Ports, Work

URL_SECONDS = 3600
"""How long a granted URL reads its object: a machine fetches at the start of its run."""


def order_of(
    ports: Ports, work: Work, *, situation: Situation, run: StepRun, action: Action, machine: Machine, space_name: str
) -> StepOrder:
    """The order for one run. Nothing is written.

    Raises:
        ConflictError: variable.missing, a binding has no value here; package.missing, the release does not name it.
        FormatError: variable.invalid, values refer to each other in a circle.
    """
    step = _step_package(situation, action)
    facts = _facts(situation, run, machine, space_name)
    names = _Names(ports, work, situation=situation, run=run, action=action, facts=facts)
    inputs = expand_in(dict(action.inputs), names.lookup)
    if not isinstance(inputs, dict):
        raise TypeError("inputs stay an object")
    registered = work.of(StepPackage).first(sha256=step.sha256)
    return StepOrder(
        run_id=run.id,
        package_url=ports.objects.grant_get(blob_key(step.sha256), seconds=URL_SECONDS),
        package_sha256=step.sha256,
        package_size=step.size_bytes if registered is None else registered.size_bytes,
        package_id=step.package_id,
        package_version=step.version,
        inputs=inputs,
        masks=names.masks(),
        packages=_packages(ports, situation, action),
        deployment=names.facts_for_people(),
        timeout_s=action.timeout_s,
        attempt=run.attempt,
        idempotency_key=f"{run.deployment_id}:{run.action_id}:{machine.id}",
        ca_pem=ports.site.ca_pem,
        variables=names.clear_variables(),
    )


def secrets_of(
    ports: Ports, work: Work, *, situation: Situation, run: StepRun, action: Action, machine: Machine, space_name: str
) -> Sequence[str]:
    """Every secret that any action of this deployment could have seen, in clear, for masking and nothing else."""
    facts = _facts(situation, run, machine, space_name)
    names = _Names(ports, work, situation=situation, run=run, action=action, facts=facts)
    opened = (open_value(ports, one, space_id=work.space_id) for one in situation.values if one.sealed is not None)
    names.opened += [text for text in opened if text]
    return names.masks()


class _Names:
    """Looks names up for one run and remembers which secrets it opened."""

    def __init__(self, ports: Ports, work: Work, *, situation: Situation, run: StepRun, action: Action, facts: dict[str, str]) -> None:
        self._ports = ports
        self._work = work
        self._situation = situation
        self._run = run
        self._place = Place(
            environment=situation.environment, tenant=situation.tenant, channel=situation.release.channel, action=action.name
        )
        self._facts = facts
        self.opened: list[str] = []

    def lookup(self, name: str) -> str | None:
        """The value of ``name``, or None. Facts first: no variable can pose as one."""
        if name in self._facts:
            return self._facts[name]
        output = output_of(name)
        if output is not None:
            return self._output(*output)
        found = resolve(self._situation.values, name, self._place)
        return None if found is None else self._open(found)

    def masks(self) -> tuple[str, ...]:
        """Every secret that was opened, as it is kept and, where it refers to other values, as the step gets to see it."""
        texts = list(self.opened)
        for text in self.opened[:]:
            try:
                texts.append(expand(text, self.lookup))
            except (ConflictError, FormatError):
                continue  # no step got to see it
        return tuple(dict.fromkeys(texts))

    def facts_for_people(self) -> dict[str, JsonValue]:
        """The facts under short names, and the action's own."""
        facts: dict[str, JsonValue] = {name.removeprefix("Waybill."): value for name, value in self._facts.items()}
        return {**facts, "Action.Name": self._run.action_name, "Run.Id": self._run.id}

    def clear_variables(self) -> dict[str, str]:
        """Every value that neither is a secret nor leads to one, its bindings resolved; what cannot be resolved is left out."""
        texts = {}
        for name in dict.fromkeys(one.name for one in self._situation.values):
            try:
                texts[name] = expand("#{" + name + "}", self._clear)
            except (ConflictError, FormatError):
                continue  # it leads to a secret, to nothing or in a circle: no script gets it unasked
        return {**self._facts, **texts}

    def _clear(self, name: str) -> str | None:
        if name in self._facts:
            return self._facts[name]
        found = None if output_of(name) else resolve(self._situation.values, name, self._place)
        return None if found is None or found.sealed is not None else self._open(found)

    def _open(self, found: HeldValue) -> str | None:
        text = open_value(self._ports, found, space_id=self._work.space_id)
        if found.sealed is not None and text:
            self.opened.append(text)
        return text

    def _output(self, action_name: str, output: str) -> str | None:
        """What an earlier action put out: on this machine if it ran here, else on the first by time."""
        runs = self._work.of(StepRun).where(deployment_id=self._run.deployment_id, action_name=action_name, state=RunState.SUCCEEDED)
        having = [run for run in runs if output in run.outputs and run.position < self._run.position]
        ordered = sorted(having, key=lambda run: (run.machine_id != self._run.machine_id, run.id))
        if not ordered:
            return None
        value = ordered[0].outputs[output]
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _facts(situation: Situation, run: StepRun, machine: Machine, space_name: str) -> dict[str, str]:
    return {
        "Waybill.Space.Name": space_name,
        "Waybill.Project.Name": lookup.shown_project(situation.project),
        "Waybill.Release.Version": situation.release.release_version,
        "Waybill.Release.Channel": situation.release.channel,
        "Waybill.Environment.Name": situation.environment.name,
        "Waybill.Tenant.Name": situation.tenant.name if situation.tenant else "",
        "Waybill.Deployment.Id": run.deployment_id,
        "Waybill.Machine.Name": machine.name,
    }


def _step_package(situation: Situation, action: Action) -> ReleaseStepPackage:
    for one in situation.doc.step_packages:
        if one.sha256 == action.step.sha256:
            return one
    raise ConflictError("package.missing", "the release does not name the action's step package", field=action.step.package_id)


def _packages(ports: Ports, situation: Situation, action: Action) -> tuple[OrderPackage, ...]:
    return tuple(_package(ports, situation, use.ref_name, use.package_id) for use in action.packages)


def _package(ports: Ports, situation: Situation, ref_name: str, package_id: str) -> OrderPackage:
    found: ReleasePackage | None = next((one for one in situation.doc.packages if one.package_id == package_id), None)
    if found is None:
        raise ConflictError("package.missing", "the release does not name a package of the action", field=package_id)
    return OrderPackage(
        ref_name=ref_name,
        id=found.package_id,
        version=found.version,
        sha256=found.sha256,
        size=found.size_bytes,
        url=ports.objects.grant_get(blob_key(found.sha256), seconds=URL_SECONDS, filename=found.filename),
        filename=found.filename,
    )
