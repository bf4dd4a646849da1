"""The queries on jobs: of those who send them, those who work on them, and those who clear up.

A lease says who works on what; what a job does with its images is for `jobs/`.
"""
