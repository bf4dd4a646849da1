"""Request bodies: to photos, to the images of a job, and to the shapes of `api/schemas/`.

The guards have seen to their type and encoding, and end the reading where a limit is.
"""
