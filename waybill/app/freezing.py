# SPDX-License-Identifier: Apache-2.0
"""The freeze: what a release pins, computed from the project as it is now, before anything is signed or stored.

Target independence is decided here: a value or a name that is scoped to a Remote Space, an environment of one, or a tenant stays out of the
signed Release and goes into the snapshot only; of a secret the Release says that it exists, nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from waybill.app import process_rules
from waybill.domain.coordinates import version_key
from waybill.domain.packages import Package, StepPackage
from waybill.domain.projects import Action, StepRef
from waybill.domain.resolution import FACTS, bindings, bindings_in, output_of
from waybill.domain.spaces import Environment
from waybill.domain.values import is_sealed
from waybill.domain.variables import Scope, Variable
from waybill.errors import FormatError
from waybill.formats.release import ReleasePackage, ReleaseStepPackage, ReleaseVariable


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """What the Release will hold of the process and of its packages."""

    actions: tuple[Action, ...]
    packages: tuple[ReleasePackage, ...]
    step_packages: tuple[ReleaseStepPackage, ...]


def freeze_process(
    actions: Sequence[Action],
    *,
    step_packages: Sequence[StepPackage],
    packages: Sequence[Package],
    versions: Mapping[str, str],
) -> Frozen:
    """The actions with exact step packages, and every package that they name.

    Args:
        step_packages: all that are registered in the Space.
        packages: all packages of the Space.
        versions: reference name, or package id, to the version wanted; the newest otherwise.
    Raises:
        FormatError: bundle.incomplete, when something cannot be pinned; request.invalid, for a reference that no action has;
            the codes of ``process_rules.check_process``.
    """
    process_rules.check_process(actions, step_packages=step_packages)
    pinned: list[Action] = []
    steps: dict[tuple[str, str], ReleaseStepPackage] = {}
    for number, action in enumerate(actions):
        step = process_rules.pin_step(action, step_packages, field=f"actions/{number}/step")
        ref = StepRef(package_id=step.package_id, version=step.package_version, sha256=step.sha256)
        pinned.append(replace(action, step=ref))
        steps[(step.package_id, step.package_version)] = ReleaseStepPackage(
            package_id=step.package_id,
            version=step.package_version,
            size_bytes=step.size_bytes,
            sha256=step.sha256,
            surfaces=_surfaces(step),
        )
    return Frozen(
        actions=tuple(pinned),
        packages=_pin_packages(pinned, packages, versions),
        step_packages=tuple(steps[key] for key in sorted(steps)),
    )


def release_variables(variables: Iterable[Variable], environments: Mapping[str, Environment]) -> tuple[ReleaseVariable, ...]:
    """The part of the variables that is the same for every target, by id; secrets only marked.

    Args:
        environments: every environment of the Space by id.
    """
    frozen = []
    for variable in sorted(variables, key=lambda one: one.id):
        scope = common_scope(variable.scope, environments)
        if scope is None:
            continue
        frozen.append(
            ReleaseVariable(
                id=variable.id,
                name=variable.name,
                type=variable.type,
                scope=scope,
                value=variable.value,
                sensitive=variable.sealed is not None,
                template=variable.template,
            )
        )
    return tuple(frozen)


def common_scope(scope: Scope, environments: Mapping[str, Environment]) -> Scope | None:
    """The scope as the signed Release may show it, or None when the variable must not stand there at all.

    Environments of Remote Spaces fall away; when none is left, or a tenant or its tag is named, nothing of the variable is told.
    """
    if scope.tenants or scope.tenant_tags:
        return None
    own = tuple(one for one in scope.environments if one in environments and not environments[one].is_remote)
    if scope.environments and not own:
        return None
    return replace(scope, environments=own)


def target_scope(scope: Scope, environments: Mapping[str, Environment], trust_id: str) -> Scope | None:
    """The scope as a Delivery to that Remote Space may show it: only that Space's environments. None when it names none of them."""
    if scope.tenants or scope.tenant_tags:
        return None
    theirs = tuple(one for one in scope.environments if one in environments and environments[one].trust_id == trust_id)
    return replace(scope, environments=theirs) if theirs else None


def check_references(actions: Sequence[Action], variables: Sequence[Variable]) -> None:
    """Nothing, when every binding leads somewhere: to a variable or template, to a fact, or to an output of an earlier action.

    Raises:
        FormatError: bundle.incomplete, naming where and what (A47).
    """
    known = {variable.name for variable in variables} | FACTS
    for number, action in enumerate(actions):
        for name in bindings_in(action.inputs):
            if name not in known and output_of(name) is None:
                raise _dangling(f"actions/{number}/inputs", action.name, name)
    for variable in variables:
        text = variable.value if variable.value is not None else (variable.template.default if variable.template else None)
        for name in bindings(text or ""):
            if name not in known and output_of(name) is None:
                raise _dangling(f"variables/{variable.name}", variable.name, name)


def is_secret(variable: ReleaseVariable) -> bool:
    """True when the variable's value must never stand in a document."""
    return variable.sensitive or is_sealed(variable.type)


def _pin_packages(actions: Sequence[Action], packages: Sequence[Package], versions: Mapping[str, str]) -> tuple[ReleasePackage, ...]:
    """One version of each package id that an action names."""
    refs: dict[str, list[str]] = {}
    for action in actions:
        for use in action.packages:
            refs.setdefault(use.package_id, []).append(use.ref_name)
    strange = set(versions) - set(refs) - {name for names in refs.values() for name in names}
    if strange:
        raise FormatError(
            "request.invalid", "no action has that package reference", field="packages", found=", ".join(sorted(strange))[:200]
        )
    return tuple(_pin_package(package_id, sorted(set(refs[package_id])), packages, versions) for package_id in sorted(refs))


def _pin_package(package_id: str, ref_names: Sequence[str], packages: Sequence[Package], versions: Mapping[str, str]) -> ReleasePackage:
    wanted = {versions[name] for name in (*ref_names, package_id) if name in versions}
    if len(wanted) > 1:
        found = ", ".join(sorted(wanted))
        raise FormatError(
            "request.invalid", "a release holds one version of a package", field=f"packages/{package_id}", expected="one", found=found
        )
    candidates = [one for one in packages if one.package_id == package_id and (not wanted or one.package_version in wanted)]
    if not candidates:
        version = next(iter(wanted), "any version")
        raise FormatError(
            "bundle.incomplete", f"{package_id} {version} is not here", field=f"packages/{package_id}", expected=version, found="nothing"
        )
    chosen = max(candidates, key=lambda one: (version_key(one.package_version), one.id))
    return ReleasePackage(
        ref_names=tuple(ref_names),
        package_id=chosen.package_id,
        version=chosen.package_version,
        size_bytes=chosen.size_bytes,
        sha256=chosen.sha256,
        media_type=chosen.media_type,
        filename=chosen.filename,
    )


def _surfaces(step: StepPackage) -> tuple[str, ...]:
    versions = step.manifest.get("apiVersions")
    return tuple(sorted(str(name) for name in versions))[:20] if isinstance(versions, dict) else ()


def _dangling(field: str, where: str, name: str) -> FormatError:
    return FormatError(
        "bundle.incomplete",
        f"{where} refers to something that no release would hold",
        field=field,
        expected="a variable or template",
        found=name[:100],
    )
