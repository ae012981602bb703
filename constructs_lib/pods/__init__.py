"""What every pod has in common: how it is made, hardened, probed, and given the supervisor."""
