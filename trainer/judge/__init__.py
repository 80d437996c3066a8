"""What a model is worth: figures, intervals, who judges on what."""
