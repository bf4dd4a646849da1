"""The HTTP face: parses what arrives, calls the service, renders answers and errors."""
