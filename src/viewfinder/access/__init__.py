"""Who asks: keys, and the tokens of a provider."""
