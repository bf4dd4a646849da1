"""Smaller and faster graphs of a model, made and chosen by measurement."""
