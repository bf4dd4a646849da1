"""What a person has, a folder or a table, read as a data set; or why it is none.

No photo is opened: that is for the neighbours above.
"""
