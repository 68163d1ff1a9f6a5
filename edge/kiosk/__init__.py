"""The station's screen: a process of its own that shows what the agent tells it on its socket."""
