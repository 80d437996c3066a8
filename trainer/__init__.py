"""Sample to model: the norm-balanced feedback loop on a technician's workstation."""
