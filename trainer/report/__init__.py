"""Pages and pictures for people, in two languages."""
