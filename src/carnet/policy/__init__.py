"""From a determination to an action, by the operator's own policy; the law is not here."""
