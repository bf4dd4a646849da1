"""What the processes of one service share: a Redis, and how to do without."""
