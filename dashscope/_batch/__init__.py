"""`map()`: one model over many inputs, resumable and gentle.

`batch` is the face: a block, and an iterator of results. Behind it, `scheduler` decides what is
to be done next (a create, a look) and `hands` do it; `inlet` takes the inputs in, `outbox` gives
the results out, `ledger` keeps the checkpoint. `gate`, `looks` and `digests` are pure.
"""
