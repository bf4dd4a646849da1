"""Engines run a graph: one small file each, behind one protocol, loaded by name.

Pixels in, scores out: an engine knows no request, and none is imported before it is needed.
"""
