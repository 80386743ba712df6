"""Real hosts on one machine, to run the playbooks against: containers with systemd, sshd and an engine of their own."""
