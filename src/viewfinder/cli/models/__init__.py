"""`viewfinder models`: what there is, what changes the store, and what goes somewhere else."""
