"""A graph in a process of its own, where it may crash, or be timed alone, and disturb nobody.

Each file has both sides: the function that asks, and the main program that answers over there.
"""
