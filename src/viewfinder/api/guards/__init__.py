"""Pure ASGI, around every route: what is refused before a body is read.

A guard sees the head of a request and the messages that pass; what a body means is for the routes.
"""
