"""The class hierarchy: what a classifier's classes belong to, how good the groups are, and their
picture. numpy only."""
