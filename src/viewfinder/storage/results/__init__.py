"""The queries on results: kept, found page by page, reviewed, and let go of."""
