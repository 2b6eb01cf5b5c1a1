"""What was measured, for people and programs: a table, JSON, a page."""
