"""What the platform team sees: metrics, logs, traces, health; and deadlines."""
