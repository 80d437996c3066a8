"""The live shell: processes under a supervisor, see docs/live.md."""
