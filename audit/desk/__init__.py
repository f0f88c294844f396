"""What people do with the log: search, view, review, decide appeals, export, erase; all booked."""
