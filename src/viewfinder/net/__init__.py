"""HTTP to others, at URLs that strangers wrote: each address is checked as it is connected to."""
