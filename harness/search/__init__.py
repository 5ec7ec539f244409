"""Search: many simulated runs, the breaks that they find made small, told and kept."""
