"""Images by the thousand, in the background: taken in, worked on, and told of."""
