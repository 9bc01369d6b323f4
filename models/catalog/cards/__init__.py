"""Model cards as data, one module for each kind of hardware."""
