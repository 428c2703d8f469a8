"""The guarantee: one event in, one outcome recorded, nothing lost, nothing sent twice that can be avoided.

Imports contract and foundation; knows no template, no MIME and no Babel.
"""
