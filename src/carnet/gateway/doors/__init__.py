"""Other ways in, for those who have an application or a proxy of their own. Each of them is the gateway's
core behind another door; what a door can't do stands in its own docstring."""
