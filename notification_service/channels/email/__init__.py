"""E-mail: rendered, composed as MIME, sent by SMTP.

Nothing outside this folder knows what an e-mail looks like.
"""
