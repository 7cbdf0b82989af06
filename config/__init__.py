"""Site settings: one INI file in, frozen values out."""
