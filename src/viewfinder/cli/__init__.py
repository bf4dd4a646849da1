"""The command `viewfinder`: a file for each command, a folder for each group of them.

Nothing heavy is imported before one runs. Here is what is asked and printed; what a command does
is in `pipelines/` and the rooms below.
"""
