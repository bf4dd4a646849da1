"""Viewfinder: from a folder of photos to a production image-classification service."""

__version__ = "0.1.0"
