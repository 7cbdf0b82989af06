"""Jobs in lanes, and the supervision of every thread that the node hangs on."""
