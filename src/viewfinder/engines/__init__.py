"""Engines run a graph: one small file each, behind one protocol, loaded by name."""
