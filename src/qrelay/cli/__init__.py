"""The commands. Each says what it did on standard output, what went wrong on standard error, and no more."""
