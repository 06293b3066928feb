"""What latido costs, beside a bare consumer of the same topics in the same run: ``make bench``."""
