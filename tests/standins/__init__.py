"""Real servers on loopback that answer as the services do that this project talks to."""
