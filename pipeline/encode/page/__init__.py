"""Summary page, as Secondary Capture and as PDF."""
