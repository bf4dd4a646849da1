"""`viewfinder data`: labelled photos, before a model learns from them."""
