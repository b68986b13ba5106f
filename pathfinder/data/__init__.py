"""Examples: in memory or streamed, by name or the user's own, and how a batch of them is prepared."""
