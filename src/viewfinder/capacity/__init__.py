"""What this machine, or a server, can do, and the settings that go with it.

It measures and advises; nothing is set by it, and no server imports it.
"""
