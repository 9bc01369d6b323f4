"""Attacks on the server at full size, one file each; scripts/harden runs them by name.

Each file has a function `run(minutes: float) -> list[str]`. It attacks for about so many minutes, prints
figures, and returns what it found: sentences, none if the server withstood. Code that several attacks
share is in a folder of this one, because every file here is an attack. A file imports what the tests'
environment lacks only inside of `run`.
"""
