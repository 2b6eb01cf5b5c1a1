"""The vector index: one protocol, two engines (Qdrant server, embedded Qdrant Edge)."""
