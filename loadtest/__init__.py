"""Load that proves the limits: honest users beside attackers, and a verdict on what both and the server counted."""
