"""Kafka: batches in, transactions out, retries, dead letters, rebalances, shutdown. Knows no images."""
