"""The HTTP server under the application: connections, their limits, drain, workers.

It knows no route: `app/` is what it serves, and `api/guards/` judge what a request says.
"""
