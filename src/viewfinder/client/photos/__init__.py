"""Photos as what is sent of them: files as they are, made smaller, and forms of many.

Nothing is sent here, and a file is read when its turn comes.
"""
