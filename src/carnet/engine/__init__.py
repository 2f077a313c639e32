"""The engines: what a rulebook says about a transaction: specification, fast form, and reasons."""
