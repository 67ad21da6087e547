"""What happened: workspaces, runs, durable stages, lineage, the ledger of information."""
