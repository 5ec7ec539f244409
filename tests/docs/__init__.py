"""What the README says is run."""
