"""The example of an operation in each language, from one template for each."""

from collections.abc import Callable

from scripts.documentation.languages.curl import curl
from scripts.documentation.languages.go import go
from scripts.documentation.languages.javascript import javascript
from scripts.documentation.languages.php import php
from scripts.documentation.languages.python import python
from scripts.documentation.operations import Example

LANGUAGES: dict[str, tuple[str, Callable[[Example], str]]] = {
    "curl": ("sh", curl),
    "Python": ("python", python),
    "JavaScript": ("js", javascript),
    "PHP": ("php", php),
    "Go": ("go", go),
}
"""By its name: the language of its blocks, and the function that returns the code, without a last newline."""
ENDINGS = {"curl": "sh", "Python": "py", "JavaScript": "mjs", "PHP": "php", "Go": "go"}
"""How the names of their files end."""
