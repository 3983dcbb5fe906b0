"""Who may do what, by the groups of an identity provider."""
