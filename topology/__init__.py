"""What exists on the broker, as one commented value: declare, check, show. Imports nothing of ours."""
