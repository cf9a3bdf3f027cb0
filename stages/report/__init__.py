"""What people look at: one static page, the ledger as CSV, and the same in the terminal."""
