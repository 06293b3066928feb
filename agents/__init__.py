"""The shell: Faust worker, Kafka, Prometheus, command line. The only part that talks to the world."""
