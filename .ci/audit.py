"""Holds an environment's packages against the published advisories: a known vulnerability fails.

``python audit.py SITE_PACKAGES``, with pip-audit installed beside this Python. What could not be held against anything,
because the advisory service is out of reach or does not know the package, is said, and does not fail.
"""

import json
import subprocess
import sys


def main(packages: str) -> int:
    """The exit code: 1 where something vulnerable was found."""
    command = [sys.executable, "-m", "pip_audit", "--path", packages, "--skip-editable", "--format", "json"]
    command += ["--progress-spinner", "off"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - its words are all ours
    try:
        found = json.loads(told.stdout)["dependencies"]
    except ValueError:
        print("not audited:", *told.stderr.strip().splitlines()[-1:])
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
