"""The HTTP server under the application: connections, their limits, drain, workers."""
