"""Version 1 of the API, one file for each kind of resource."""
