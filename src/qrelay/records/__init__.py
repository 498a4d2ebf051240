"""What is written down about what happened. Never what anybody wrote to a model, or what it answered."""
