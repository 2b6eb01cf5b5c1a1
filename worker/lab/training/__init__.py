"""Training: a configuration names a recipe, the loop runs it, a checkpoint says where it came from, export makes a registry row of it."""
