"""What waits for a thread, and when its turn comes: one bounded queue for each device.

It knows no photo and no model: any work may wait here.
"""
