"""What `report` answers: one page with every question, from the answer to where it comes from."""
