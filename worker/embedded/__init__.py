"""Servers as child processes for demo and tests: Apache Kafka, an S3 server."""
