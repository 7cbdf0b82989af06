"""The console: pages for administrators and readers, in a process of its own."""
