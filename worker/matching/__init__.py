"""From candidates to a decision: fusing photos, thresholds, the race protocol, the explanation."""
