"""HL7 version 2: messages as text, and the Minimal Lower Layer Protocol."""
