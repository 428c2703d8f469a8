"""The mails in a browser, for whoever writes them: `notification-service preview --serve`."""
