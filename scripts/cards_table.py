"""Writes the table of all cards into docs/models.md: `python -m scripts.cards_table`; a test holds it equal."""

from pathlib import Path

from models.catalog.profile import load_profile, profile_names
from models.catalog.registry import CARDS
from scripts.pages import between_markers

PAGE = Path(__file__).resolve().parents[1] / "docs" / "models.md"
_BEGIN, _END = "<!-- cards: begin -->", "<!-- cards: end -->"


def renewed(page: str) -> str:
    """Return the page with its table made again; raises ValueError if it has no place for it."""
    profiles = {name: set(load_profile(name).values()) for name in profile_names()}
    rows = ["| card | role | licence | memory, MiB | in profiles |", "|---|---|---|---|---|"]
    for card in CARDS:
        used = ", ".join(f"`{name}`" for name, cards in profiles.items() if card in cards)
        role = card.role.name.replace("_", " ")
        rows.append(f"| `{card.name}` | {role} | {card.licence} | {card.memory_mb:,} | {used} |")
    return between_markers(page, "\n".join(rows), _BEGIN, _END)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
