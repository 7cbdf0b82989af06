"""One module per revision; its first line names the change."""
