"""Messages to people and services outside: e-mail, webhooks and others, by rule."""
