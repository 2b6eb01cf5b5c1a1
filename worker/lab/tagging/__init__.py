"""Category tagging: labelled photos, the network with its heads, and what it is judged by (papers 2 and 3)."""
