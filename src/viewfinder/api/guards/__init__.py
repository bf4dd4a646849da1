"""Pure ASGI, around every route: what is refused before a body is read."""
