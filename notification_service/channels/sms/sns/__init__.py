"""AWS SNS: one signed `Publish` a message. It has no look-up and no de-duplication for SMS."""
