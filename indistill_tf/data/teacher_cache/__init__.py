"""What a frozen teacher says, computed once and kept."""
