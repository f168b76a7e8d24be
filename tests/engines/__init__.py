"""Other engines for the rules, beside Prometheus: their servers, and one past and present that all of them see."""
