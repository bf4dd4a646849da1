"""What the commands do, end to end: each takes what a person has and leaves it in the store.

They put the rooms below in order, and print nothing: that is the business of `cli/`.
"""
