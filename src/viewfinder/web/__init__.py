"""Pages that call the public API. Their assets are in the package: no other host, no build step.

They can do nothing that a program with a key cannot.
"""
