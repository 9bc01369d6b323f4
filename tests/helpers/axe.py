"""What axe-core finds in a page."""

from playwright.sync_api import Page

from tests.helpers.places import ROOT

AXE = ROOT / "tests" / "browser" / "axe" / "axe.min.js"


def findings(page: Page) -> list[str]:
    """Return what axe finds of WCAG 2.2 AA, except what it calls minor."""
    page.evaluate(AXE.read_text())
    found = page.evaluate(
        """async () => {
            // Colours on their way from one to another have no contrast that anyone chose.
            const ends = (one) => one.effect.getComputedTiming().endTime !== Infinity;
            await Promise.allSettled(document.getAnimations().filter(ends).map((one) => one.finished));
            return axe.run(document, {
                runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
            });
        }"""
    )
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:200]} {node.get('failureSummary', '')}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical", "moderate"}
        for node in one["nodes"]
    ]
