"""What watches the stack: what is scraped, rules and their tests, who is told, and the panels of the dashboard."""
