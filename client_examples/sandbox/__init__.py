"""Everything on one machine: authorization server, proxy, worker, demo agencies and banks as real processes."""
