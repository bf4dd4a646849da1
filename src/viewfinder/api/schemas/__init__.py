"""The shapes of the API's JSON, one file for each kind of resource.

The names of their fields are a promise (see docs/api.md). They read and render, and decide nothing.
"""
