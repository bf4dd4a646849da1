"""What must outlive a process and is no model: tables, the queries on them, their history.

No other room speaks SQL, and none imports SQLAlchemy before it has asked for a table.
"""
