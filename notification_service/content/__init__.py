"""What messages say, for every channel: templates, catalogues, formats, branding, links.

Imports contract and foundation; knows nothing of the delivery.
"""
