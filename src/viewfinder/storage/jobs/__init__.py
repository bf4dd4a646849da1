"""The queries on jobs: of those who send them, those who work on them, and those who clear up."""
