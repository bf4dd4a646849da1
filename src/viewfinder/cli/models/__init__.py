"""`viewfinder models`: what there is, what changes the store, and what goes somewhere else.

It works on the store alone: no server has to run, and one that runs follows.
"""
