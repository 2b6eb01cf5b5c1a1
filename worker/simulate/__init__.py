"""Arrivals on demand: drawn garments, their studio photos, phone snapshots of them, scenarios with known truth, and a score.

Depends on numpy, OpenCV and pydantic alone: the lab trains and measures with the same pictures, without the worker's clients.
"""
