"""``/jobs``: a member's jobs, with a menu to show and buttons to cancel them."""
