"""The production broker: mosquitto's configuration, rights, users and certificates."""
