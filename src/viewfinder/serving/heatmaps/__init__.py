"""Where in a photo a model saw a class.

What is drawn of it is up to who asks: here it is a grid of numbers, 0-1.
"""
