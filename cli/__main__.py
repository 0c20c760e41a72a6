# SPDX-License-Identifier: Apache-2.0
"""``waybill``: the command line of release and platform engineers. It talks to a site's API over HTTP, or works on files alone."""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Group, Parameter

from cli import carrier, completing, delta, deploy, inbox, package, project, release, sign_in, space, task, trust
from cli.client import ApiError
from cli.exits import Exit, ExitError, exit_of
from cli.help_page import EVERYWHERE, HelpPage
from cli.output import Format, choose_format, say
from cli.session import CURRENT
from waybill.errors import CODES, WaybillError

HELP = "Promote releases between Spaces, connected or by carrier file, with proof."
MORE = """Exit codes: 0 ok, 1 failure, 2 usage, 3 configuration or sign-in, 4 not found,
5 refused, 6 verification failed, 7 waited too long, 8 ended unsuccessfully,
130 interrupted. Each command's --help has an example."""

GROUPS = (
    ("Sign in", (sign_in.login, sign_in.logout, sign_in.whoami, sign_in.password, sign_in.key_app)),
    (
        "Set up a Space",
        (space.space_app, space.environment_app, space.tenant_app, space.machine_app, trust.identity_app, trust.trust_app),
    ),
    (
        "Make releases",
        (
            package.package_app, package.step_app, project.project_app, project.process_app, project.variable_app, project.lifecycle_app,
            release.release_app,
        ),
    ),
    ("Move and deploy them", (release.promotion_app, carrier.carrier_app, inbox.inbox_app, deploy.deployment_app, delta.delta_app)),
    ("See and prove", (deploy.dashboard, task.task_app, carrier.receipt_app, carrier.bundle_app, carrier.audit_app, carrier.api_get)),
)  # fmt: skip

app = App(
    name="waybill",
    help=HELP,
    help_format="plaintext",
    help_formatter=HelpPage(),
    version=lambda: version("waybill"),
    default_parameter=Parameter(negative_bool=(), negative_iterable=()),
    group_arguments=Group("Arguments", sort_key=1),
    group_parameters=Group("Options", sort_key=2),
    help_epilogue=MORE,
    suppress_keyboard_interrupt=False,
)
for place, (title, commands) in enumerate(GROUPS, start=10):
    panel = Group(title, sort_key=place)
    for command in commands:
        if isinstance(command, App):
            command.group, command.help_epilogue = (panel,), ""
            app.command(command)
        else:
            app.command(command, name="api" if command is carrier.api_get else None, group=panel, help_epilogue="")
app.register_install_completion_command(group=EVERYWHERE, help="Let your shell complete commands, options and names.")
for flag in ("--help", "--version"):
    app[flag].group = (EVERYWHERE,)


@app.meta.default
def root(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    space: Annotated[
        str | None, Parameter(help="The Space to work in, by slug or id.", group=EVERYWHERE, completer=completing.spaces)
    ] = None,
    profile: Annotated[str | None, Parameter(help="Which signed-in site to use.", group=EVERYWHERE)] = None,
    url: Annotated[str | None, Parameter(help="Another address of the site.", group=EVERYWHERE)] = None,
    ca: Annotated[str | None, Parameter(help="The authority (PEM) of the site's TLS.", group=EVERYWHERE)] = None,
    output: Annotated[
        Format,
        Parameter(
            name=["--output", "-o"],
            help="How to print data: table, json or name.",
            group=EVERYWHERE,
            show_choices=False,
            show_default=False,
        ),
    ] = "table",
    progress: Annotated[
        Literal["auto", "none"], Parameter(help="Log and progress: auto or none.", group=EVERYWHERE, show_choices=False, show_default=False)
    ] = "auto",
    yes: Annotated[bool, Parameter(help="Ask nothing; what cannot be undone is done.", group=EVERYWHERE)] = False,
) -> None:
    """Options of every command."""
    CURRENT.space, CURRENT.profile, CURRENT.url, CURRENT.ca = space, profile, url, ca
    CURRENT.progress, CURRENT.yes = progress, yes
    choose_format(output)
    app(tokens, exit_on_error=False, print_error=False)


def main(tokens: Sequence[str] | None = None) -> None:
    """The process's entry, for its own arguments or for ``tokens``; ends with one of the exit codes of ``cli.exits``."""
    try:
        app.meta(list(sys.argv[1:] if tokens is None else tokens), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        say(f"error: {error}")
        say(f"  what to do: see {' '.join(('waybill', *(error.command_chain or ())))} --help")
        sys.exit(Exit.USAGE)
    except WaybillError as error:
        sys.exit(_explain(error))
    except ExitError as ended:
        _explain(ended.error)
        sys.exit(ended.code)
    except KeyboardInterrupt:
        say("\ninterrupted")
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone; what is left must not be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.OK)


def _explain(error: WaybillError) -> Exit:
    """What, why and what to do, one line each, on standard error."""
    say(f"error: {error.message} [{error.code}]")
    if error.field:
        say(f"  where: {error.field}")
    if error.expected is not None:
        say(f"  expected: {error.expected}")
    if error.found is not None:
        say(f"  found: {error.found}")
    if error.code in CODES:
        say(f"  what to do: {CODES[error.code].remedy}")
    if isinstance(error, ApiError):
        for entry in error.errors:
            say(f"  {entry.get('pointer', '')}: {entry.get('detail', '')}")
        if error.trace_id:
            say(f"  trace: {error.trace_id}")
        return exit_of(error.code, error.http_status)
    status = CODES[error.code].http_status if error.code in CODES else None
    return exit_of(error.code, status)


if __name__ == "__main__":
    main()
