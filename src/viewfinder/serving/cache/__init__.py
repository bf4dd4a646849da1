"""Answers are kept by the photo's bytes and the model's digest, in memory or in Redis.

What is not known is worked out once, however many ask for it at a time.
"""
