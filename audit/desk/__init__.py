"""What people do with the log: look, review, decide appeals, export, erase. All of it is booked."""
