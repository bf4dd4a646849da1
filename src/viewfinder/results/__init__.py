"""What was answered: recorded off the way of the request, reviewed, and let go of in time.

No answer waits for it; the tables are in `storage/`, the routes in `api/v1/`.
"""
