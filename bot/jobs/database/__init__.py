"""Jobs in the database: tables, transactions, leases, the fair queue, retention."""
