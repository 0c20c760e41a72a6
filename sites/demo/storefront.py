# SPDX-License-Identifier: Apache-2.0
"""The project ``Storefront``: its process and values, in the form that the command line takes."""

from typing import Any

from sites.demo.packages import LOCALES, STYLES_OLD

SECRET_NAME = "ApiToken"  # noqa: S105 - the name of a variable
SECRET_FILE = "storefront.env"  # noqa: S105 - the name of a file
SCRIPT_VALUES = {
    "ApiToken": SECRET_NAME, "SiteTitle": "SiteTitle", "SiteRoot": "SiteRoot", "Release": "Waybill.Release.Version", "Environment": "Waybill.Environment.Name",
}  # fmt: skip
SCRIPT = """set -eu
umask 077
{
  printf 'API_TOKEN=%s\\n' "$(get_variable ApiToken)"
  printf 'SITE_TITLE=%s\\n' "$(get_variable SiteTitle)"
  printf 'RELEASE=%s\\n' "$(get_variable Release)"
} > "$(get_variable SiteRoot)/storefront.env"
echo "configured $(get_variable SiteTitle) for $(get_variable Environment)"
"""


def process() -> dict[str, Any]:
    """Deploy the files of two packages, run a script that uses a secret, check over HTTP that the deployed site answers."""
    return {
        "actions": [
            _deploy("Deploy styles", "styles", STYLES_OLD.package_id, "#{SiteRoot}/styles", strip=1),
            _deploy("Deploy locales", "locales", LOCALES.package_id, "#{SiteRoot}/locales"),
            {
                "name": "Write configuration",
                "step": {"package_id": "run-script", "version": "1"},
                "inputs": {
                    "syntax": "bash",
                    "script": SCRIPT,
                    "variables": {name: f"#{{{binding}}}" for name, binding in SCRIPT_VALUES.items()},
                },
                "roles": ["web"],
                "timeout_s": 120,
            },
            {
                "name": "Check the site",
                "step": {"package_id": "http-check", "version": "1"},
                "inputs": {"url": "#{SiteUrl}/styles/package.json", "expectedStatus": [200], "expectedText": "@picocss/pico", "retries": 5},
                "roles": ["web"],
                "timeout_s": 120,
            },
        ]
    }


def _deploy(name: str, ref_name: str, package_id: str, directory: str, *, strip: int = 0) -> dict[str, Any]:
    return {
        "name": name,
        "step": {"package_id": "deploy-files", "version": "1"},
        "inputs": {"package": ref_name, "directory": directory, "purge": True, "stripComponents": strip},
        "packages": [{"ref_name": ref_name, "package_id": package_id}],
        "roles": ["web"],
        "timeout_s": 600,
    }
