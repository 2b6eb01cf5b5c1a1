"""From an S3 location to upright sRGB pixels: fetch, safe decoding, orientation, photo quality."""
