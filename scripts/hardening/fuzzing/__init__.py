"""What the fuzzers of picture files share: what is tried with a file, and the files to begin with."""
