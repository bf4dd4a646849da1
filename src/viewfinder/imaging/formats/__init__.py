"""Each format's bytes before a decoder sees them: what they announce, and only what pixels need."""
