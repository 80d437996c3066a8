"""The loop against what a user would pick instead: paired seeds, intervals, one command."""
