"""A server, asked from Python: with deadlines, retries that have a budget, and typed answers.

It speaks the public API and knows no model; a model without a server is `viewfinder.local`.
"""
