"""What this machine, or a server, can do, and the settings that go with it."""
