"""One room per client API. Each reads its own requests into a `Conversation` and writes `events` in its own words."""
