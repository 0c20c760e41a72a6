# SPDX-License-Identifier: Apache-2.0
"""Process schema v1: the actions of a process as they stand in a Release.

All fields are here from the start. What an installation cannot execute yet is refused when a process is saved, not here.
"""

from typing import Final

from waybill.domain.ids import JsonValue
from waybill.domain.projects import Action, ActionScopes, PackageUse, StepRef
from waybill.formats.fields import MAX_NOTES, Fields, check_unique

MAX_ACTIONS: Final = 500
MAX_ROLES: Final = 100
MAX_USES: Final = 100
MAX_SCOPE: Final = 1000
MAX_RETRIES: Final = 100
MAX_TIMEOUT_SECONDS: Final = 30 * 24 * 3600
MAX_WINDOW: Final = 100_000
_STARTS: Final = ("after_previous", "with_previous")
_CONDITIONS: Final = ("success", "failure", "always")


def action_to_json(action: Action) -> JsonValue:
    """``action`` as it is signed. ``step.sha256`` must be set: a frozen process names exact bytes."""
    packages: list[JsonValue] = [{"package_id": use.package_id, "ref_name": use.ref_name} for use in action.packages]
    return {
        "condition": action.condition,
        "id": action.id,
        "inputs": action.inputs,
        "name": action.name,
        "notes": action.notes,
        "packages": packages,
        "pool": action.pool,
        "required": action.required,
        "retries": action.retries,
        "roles": list(action.roles),
        "scopes": {
            "channels": list(action.scopes.channels),
            "environments": list(action.scopes.environments),
            "tenant_tags": list(action.scopes.tenant_tags),
        },
        "start": action.start,
        "step": {"package_id": action.step.package_id, "sha256": action.step.sha256, "version": action.step.version},
        "timeout_s": action.timeout_s,
        "window": action.window,
    }


def read_actions(fields: Fields) -> tuple[Action, ...]:
    """The actions of the object ``process``, in order; ids and names differ."""
    actions = tuple(_read_action(one) for one in fields.children("actions", most=MAX_ACTIONS))
    check_unique([action.id for action in actions], field=fields.at("actions"))
    check_unique([action.name for action in actions], field=fields.at("actions"))
    fields.end()
    return actions


def _read_action(fields: Fields) -> Action:
    action = Action(
        id=fields.token("id"),
        name=fields.name("name"),
        step=_read_step(fields.child("step")),
        inputs=fields.json("inputs"),
        start=fields.choice("start", _STARTS),
        condition=fields.choice("condition", _CONDITIONS),
        required=fields.boolean("required"),
        roles=fields.texts("roles", most=MAX_ROLES),
        pool=fields.optional("pool", fields.text),
        window=fields.optional("window", lambda name: fields.integer(name, least=1, most=MAX_WINDOW)),
        scopes=_read_scopes(fields.child("scopes")),
        packages=_read_uses(fields),
        retries=fields.integer("retries", most=MAX_RETRIES),
        timeout_s=fields.integer("timeout_s", least=1, most=MAX_TIMEOUT_SECONDS),
        notes=fields.text("notes", least=0, most=MAX_NOTES),
    )
    fields.end()
    return action


def _read_step(fields: Fields) -> StepRef:
    step = StepRef(package_id=fields.coordinate("package_id"), version=fields.coordinate("version"), sha256=fields.digest("sha256"))
    fields.end()
    return step


def _read_scopes(fields: Fields) -> ActionScopes:
    scopes = ActionScopes(
        environments=fields.ids("environments", most=MAX_SCOPE),
        tenant_tags=fields.texts("tenant_tags", most=MAX_SCOPE),
        channels=fields.texts("channels", most=MAX_SCOPE),
    )
    fields.end()
    return scopes


def _read_uses(fields: Fields) -> tuple[PackageUse, ...]:
    uses = []
    for one in fields.children("packages", most=MAX_USES):
        uses.append(PackageUse(ref_name=one.text("ref_name"), package_id=one.coordinate("package_id")))
        one.end()
    check_unique([use.ref_name for use in uses], field=fields.at("packages"))
    return tuple(uses)
