"""Links and settings in the documentation."""

import re
from pathlib import Path

import pytest

from bot.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def anchors(page: Path) -> set[str]:
    """The names that headings can be linked by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_resolves(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_links_are_found_and_headings_have_anchors() -> None:
    """Otherwise the test above could not fail."""
    assert len(PAGES) > 8
    assert {"health-and-metrics", "what-a-cluster-certificate-allows"} <= anchors(ROOT / "docs/operating.md") | anchors(
        ROOT / "docs/security.md"
    )


def test_the_table_of_settings_is_complete() -> None:
    table = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8").split("## Settings")[1].split("\n## ")[0]
    names = "".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE))
    told = {name.lower() for name in re.findall(r"`(\w+)`", names)}
    assert told == {name for name in Settings.model_fields if not name.endswith("_file")}
