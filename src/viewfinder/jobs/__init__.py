"""Images by the thousand, in the background: taken in, worked on, and told of.

Photos are answered by `serving/` as everywhere else; the tables are in `storage/`.
"""
