"""Model cards as data, one module for each kind of model and hardware."""
