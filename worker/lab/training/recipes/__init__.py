"""What is trained: one recipe a file, found by the `kind` of its configuration. Recipes need torch, configurations do not."""
