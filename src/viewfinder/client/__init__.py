"""A Viewfinder server, asked from Python: `viewfinder.Client` and `viewfinder.AsyncClient`."""
