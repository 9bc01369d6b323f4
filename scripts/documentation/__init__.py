"""The parts of the documentation site: its pages, one for each operation, and the checks of what was built."""
