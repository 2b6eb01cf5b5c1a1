"""The service for one photo: is this garment in the catalogue? Asked by a person or a program, answered as the worker would."""
