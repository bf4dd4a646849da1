"""The same request, sent twice, is carried out once.

Answers are kept here, in memory or in Redis; `api/guards/` say which requests these are.
"""
