"""Values to text, JSON and NDJSON."""
