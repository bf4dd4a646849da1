"""What the commands do, end to end: each takes what a person has and leaves it in the store."""
