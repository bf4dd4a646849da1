"""The HTTP face: parses what arrives, calls the service, renders answers and errors.

No photo is worked on here; and only `errors.py` knows which status an error has.
"""
