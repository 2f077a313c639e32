"""All that reads and writes disks and databases; nothing is decided here."""
