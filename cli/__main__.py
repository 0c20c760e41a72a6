# SPDX-License-Identifier: Apache-2.0
"""``waybill``: the command line of release and platform engineers. It talks to a site's API over HTTP, or works on files alone."""

import os
import sys
from importlib.metadata import version
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from cli import carrier, deploy, inbox, package, project, release, sign_in, space, task, trust
from cli.client import ApiError
from cli.exits import Exit, exit_of
from cli.output import Format, choose_format, say
from cli.session import CURRENT
from waybill.errors import CODES, WaybillError

HELP = """Promote releases between Spaces, connected or by carrier file, with proof.

Exit codes: 0 ok, 1 failure, 2 usage, 3 configuration or sign-in, 4 not found, 5 refused, 6 verification failed,
7 waited too long, 8 ended unsuccessfully, 130 interrupted.
"""

app = App(name="waybill", help=HELP, version=lambda: version("waybill"))
for group in (
    space.space_app, space.environment_app, space.tenant_app, space.machine_app, trust.identity_app, trust.trust_app, package.package_app, package.step_app,
    project.project_app, project.process_app, project.variable_app, project.lifecycle_app, release.release_app, release.promotion_app, inbox.inbox_app,
    deploy.deployment_app, task.task_app, carrier.carrier_app, carrier.receipt_app, carrier.bundle_app, carrier.audit_app, sign_in.key_app,
):  # fmt: skip
    app.command(group)
for command in (sign_in.login, sign_in.logout, sign_in.whoami, sign_in.password, deploy.dashboard):
    app.command(command)
app.command(carrier.api_get, name="api")
app.register_install_completion_command()


@app.meta.default
def root(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    space: Annotated[str | None, Parameter(help="The Space to work in, by slug or id.")] = None,
    profile: Annotated[str | None, Parameter(help="Which signed-in site to use.")] = None,
    url: Annotated[str | None, Parameter(help="Another address of the site.")] = None,
    ca: Annotated[str | None, Parameter(help="The authority (PEM) that the site's TLS must come from.")] = None,
    output: Annotated[Format, Parameter(name=["--output", "-o"], help="How to print data.")] = "table",
    progress: Annotated[Literal["auto", "none"], Parameter(help="Progress and logs on standard error.")] = "auto",
    yes: Annotated[bool, Parameter(help="Ask nothing.", negative="")] = False,
) -> None:
    """Options of every command."""
    CURRENT.space, CURRENT.profile, CURRENT.url, CURRENT.ca = space, profile, url, ca
    CURRENT.progress, CURRENT.yes = progress, yes
    choose_format(output)
    app(tokens, exit_on_error=False, print_error=False)


def main() -> None:
    """The process's entry; ends with one of the exit codes of ``cli.exits``."""
    try:
        app.meta(exit_on_error=False, print_error=False)
    except CycloptsError as error:
        say(f"error: {error}")
        sys.exit(Exit.USAGE)
    except WaybillError as error:
        sys.exit(_explain(error))
    except KeyboardInterrupt:
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
    if error.expected is not None or error.found is not None:
        say(f"  expected {error.expected or '-'}, found {error.found or '-'}")
    if error.code in CODES:
        say(f"  what to do: {CODES[error.code].remedy}")
    if isinstance(error, ApiError):
        for entry in error.errors:
            say(f"  {entry.get('pointer', '')}: {entry.get('detail', '')}")
        if error.trace_id:
            say(f"  trace {error.trace_id}")
        return exit_of(error.code, error.http_status)
    status = CODES[error.code].http_status if error.code in CODES else None
    return exit_of(error.code, status)


if __name__ == "__main__":
    main()
