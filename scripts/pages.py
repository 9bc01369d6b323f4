"""Inserts the output of a tool into a page of the documentation, between two comments."""


def between_markers(page: str, text: str, begin: str, end: str) -> str:
    """Return a page with the text between its markers replaced; raises ValueError without them."""
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"the page must have {begin} and {end} once")
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}"
