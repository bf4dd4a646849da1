"""How good a model is, and how sure: measured with the code that serves it."""
