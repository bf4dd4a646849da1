"""The command `viewfinder`. Each file is a command; nothing heavy is imported before it runs.

Here is what is asked and printed; what a command does is in `pipelines/` and the rooms below.
"""
