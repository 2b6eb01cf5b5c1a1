"""Arrivals on demand: drawn garments, phone shots, load, faults, and the truth to score against."""
