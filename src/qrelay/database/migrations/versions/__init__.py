"""Each step of the history, oldest first by number. A released one is never edited."""
