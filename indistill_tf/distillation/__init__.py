"""What happens between two networks in a step."""
