"""Labelled photos: where they are, their splits, their pixels, and what is wrong with them."""
