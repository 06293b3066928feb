"""Real servers on loopback, each with free ports and a data folder of its own."""
