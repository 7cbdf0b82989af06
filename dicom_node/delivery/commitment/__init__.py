"""Have destinations commit to what they accepted: storage commitment, or a query."""
