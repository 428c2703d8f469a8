"""Tickets for the wallets of phones: Apple's as a file, Google's as a link. Imported only where one is set up."""
