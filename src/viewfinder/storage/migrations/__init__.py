"""How the tables came to be, one file in `versions` for each step; Alembic runs them."""
