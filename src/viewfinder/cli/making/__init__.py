"""The commands that make models and measure them: `viewfinder train`, `evaluate` and `optimize`."""
