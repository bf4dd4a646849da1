"""Objects beside the database: stored images and the inputs of jobs, in a folder or on S3.

Models are no blobs: `registry/` keeps them, and takes only the bucket from here.
"""
