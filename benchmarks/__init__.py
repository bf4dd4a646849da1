"""Benchmarks: each measures Viewfinder and its reference in one run. `make bench` runs all."""
