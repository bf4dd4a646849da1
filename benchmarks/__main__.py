"""`make bench`: every benchmark in turn."""

import runpy

for name in ("footprint", "throughput"):
    print(f"== {name}")
    runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    print()
