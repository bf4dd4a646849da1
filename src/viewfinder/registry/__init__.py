"""Models on disk: what a bundle is, how one is read and written, which ones there are."""
