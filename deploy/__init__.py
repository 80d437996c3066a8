"""Update bundles and system files for machines without internet."""
