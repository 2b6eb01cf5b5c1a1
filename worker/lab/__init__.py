"""The model side: datasets, methods, training, export, evaluation, reports. Nothing in the worker imports it."""
