"""Checks an environment's packages against the published advisories: a known vulnerability fails.

``python audit.py SITE_PACKAGES``, with pip-audit installed beside this Python. Packages that could not be
checked, because the advisory service is out of reach or does not know them, are listed and do not fail.
"""

import json
import subprocess
import sys


def main(packages: str) -> int:
    """Print the findings. Return the exit code, 1 if a package is vulnerable."""
    command = [sys.executable, "-m", "pip_audit", "--path", packages, "--skip-editable", "--format", "json"]
    command += ["--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no untrusted input
    try:
        found = json.loads(done.stdout)["dependencies"]
    except ValueError:
        print("not audited:", *done.stderr.strip().splitlines()[-1:])
        return 0
    vulnerable = [f"{each['name']} {each['version']}: {each['vulns']}" for each in found if each.get("vulns")]
    skipped = [each["name"] for each in found if "skip_reason" in each]
    print(f"audited: {len(found) - len(skipped)} packages, {len(vulnerable)} vulnerable", *vulnerable, sep="\n")
    if skipped:
        names = sorted(skipped) if len(skipped) < len(found) else ["any of them"]
        print(f"not audited: {len(skipped)} packages, as the advisory service does not answer for", *names)
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
