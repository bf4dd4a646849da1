"""Pages that call the public API. Their assets are in the package: no other host, no build step."""
