"""`intake demo`: the whole system on one machine, with servers as children, and a page to look at afterwards."""
