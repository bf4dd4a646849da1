"""An engine for Viewfinder that tells photos apart by their colours."""
