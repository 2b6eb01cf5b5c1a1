"""Models: registry, ONNX Runtime sessions, segmenters, embedders, batching, providers. Knows no Kafka."""
