"""Prepared data: items in the form they are read from, packed into shards, with all that is known of them.

OUT/prepared.json        what it is: domain, form, options, versions, the shards with their checksums
OUT/catalog.parquet      the items, as they were scanned
OUT/manifest.csv         labels, masks, groups, splits and further columns by item
OUT/splits.csv           the split that was drawn, where there are labels
OUT/quarantine.csv       what could not be used, with the reason
OUT/index.parquet        where in the shards everything lies
OUT/shards/000000.tar    uncompressed tar files
"""
