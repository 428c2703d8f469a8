"""The mails in a browser, for template authors: `notification-service preview --serve`."""
