"""The station agent: keeps people safe and cars charging with nobody on site and no network."""
