"""What must outlive a process and is no model: tables, the queries on them, their history."""
