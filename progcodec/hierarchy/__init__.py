"""The class hierarchy: what classes belong to, how good the groups are, their picture."""
