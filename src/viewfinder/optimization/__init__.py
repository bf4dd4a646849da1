"""Models made smaller and quicker, and what each step costs them in accuracy."""
