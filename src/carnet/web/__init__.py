"""What is served over HTTP. What an answer is, is decided below; nothing is signed or stored here."""
