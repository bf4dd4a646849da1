"""What was answered: recorded off the way of the request, reviewed, and let go of in time."""
