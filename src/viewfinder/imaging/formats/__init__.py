"""Each format's bytes before a decoder sees them: what they announce, and only what pixels need.

Whether an image is too large is decided from this, before any of it is decoded.
"""
