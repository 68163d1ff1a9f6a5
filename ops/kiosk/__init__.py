"""Tools that make the data of the station's screen."""
