"""Previews of the mails: proofs, checks, the catalogues' upkeep, and the gallery.

Imports bootstrap and everything below it.
"""
