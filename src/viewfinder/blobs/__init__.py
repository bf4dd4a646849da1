"""Objects that live outside of this machine."""
