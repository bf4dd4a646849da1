"""Version 1 of the API, one file for each kind of resource.

A route reads, asks a room below, and renders; shapes are in `schemas/`, refusals in `guards/`.
"""
