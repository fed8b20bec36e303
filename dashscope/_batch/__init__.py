"""`map()`: one model over many inputs, resumable and gentle.

`batch` is the face: a block, and an iterator of results. Behind it, `scheduler` decides what is
to be done next: a create, by `creator`, or a look, by `poller`. `input_reader` takes the inputs
in, `result_buffer` gives the results out, and `checkpoint` keeps them in a file. `rate_limiter`
and `poll_schedule` are pure.
"""
