"""Real PostgreSQL, Valkey and an MQTT broker from wheels, on loopback, in one data folder.

For the demo, tests and a first look; production has its own servers.
"""

from ops.embedded.processes import EmbeddedError
from ops.embedded.servers import EmbeddedServers, Endpoints, default_data_dir

__all__ = ["EmbeddedError", "EmbeddedServers", "Endpoints", "default_data_dir"]
