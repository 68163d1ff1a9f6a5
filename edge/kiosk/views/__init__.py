"""What each screen says, worked out from a `StationView` without any terminal.

`now` of a screen is the agent's time in the view: a screen has no clock of its own to be wrong.
"""
