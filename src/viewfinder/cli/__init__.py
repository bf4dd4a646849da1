"""The command `viewfinder`. Each file is a command; nothing heavy is imported before it runs."""
