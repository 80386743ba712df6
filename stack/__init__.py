"""What `make up` does on one machine: checks, installs, starts, watches and stops the chat. Standard library only."""
