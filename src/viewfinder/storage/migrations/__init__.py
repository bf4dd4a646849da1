"""How the tables came to be, one file in `versions` for each step; Alembic runs them.

How they are now is in `storage/tables.py`; a step that was released is never changed.
"""
