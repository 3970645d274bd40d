"""What people put their names to: a log whose entries chain, signatures in it, and what `datapipe verify` checks."""
