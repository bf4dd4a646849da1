"""HTTP to others, at URLs that strangers wrote: each address is checked as it is connected to.

What the operator sets the address of (a database, Redis, S3) has clients of its own.
"""
