"""The use cases: where facts, engine, policy and store meet."""
